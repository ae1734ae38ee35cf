//! The label `database`: what tells the databases of one text apart.

use super::resource::file_name;
use kitedb_core::Metrics;
use std::collections::BTreeSet;

/// The value of the label `database`. Where several databases are in one text and would have the same, or none, each has
/// after it the shortest end of its path that tells them apart: `a/social.kitedb` and `b/social.kitedb`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum DatabaseLabel {
    /// The file's name.
    #[default]
    FileName,
    /// Its path as it was opened. Replicas whose id is a path are named by the whole of it, too.
    Path,
    /// This text.
    Custom(String),
    /// No such label.
    None,
}

/// Those of `all` that a text shows, each with its label: of the same database the last one.
pub(super) fn labelled<'a>(all: &[&'a Metrics], label: &DatabaseLabel) -> Vec<(&'a Metrics, Option<String>)> {
    let shown: Vec<&Metrics> = all
        .iter()
        .enumerate()
        .filter(|(at, metrics)| all[at + 1..].iter().all(|later| later.path != metrics.path))
        .map(|(_, metrics)| *metrics)
        .collect();
    let paths: Vec<&str> = shown.iter().map(|metrics| metrics.path.as_str()).collect();
    shown.iter().copied().zip(labels(&paths, label)).collect()
}

/// A label for each of these paths, which differ.
fn labels(paths: &[&str], label: &DatabaseLabel) -> Vec<Option<String>> {
    let plain = |path: &str| match label {
        DatabaseLabel::FileName => Some(file_name(path).to_owned()),
        DatabaseLabel::Path => Some(path.to_owned()),
        DatabaseLabel::Custom(text) => Some(text.clone()),
        DatabaseLabel::None => None,
    };
    let of = |path: &&str| {
        let own = plain(path);
        let same: Vec<&str> = paths.iter().copied().filter(|other| plain(other) == own).collect();
        if same.len() == 1 {
            return own;
        }
        let end = distinct_end(path, &same);
        Some(match label {
            DatabaseLabel::Custom(text) => format!("{text} {end}"),
            _ => end.to_owned(),
        })
    };
    paths.iter().map(of).collect()
}

/// The end of `path` of as few names as it takes that those of `all` differ.
fn distinct_end<'a>(path: &'a str, all: &[&str]) -> &'a str {
    let names = |path: &str| path.split('/').count();
    let longest = all.iter().map(|path| names(path)).max().unwrap_or(1);
    let differ = |count: &usize| all.iter().map(|path| end(path, *count)).collect::<BTreeSet<_>>().len() == all.len();
    end(path, (1..=longest).find(differ).unwrap_or(longest))
}

/// The last `count` names of a path.
fn end(path: &str, count: usize) -> &str {
    match path.rmatch_indices('/').nth(count - 1) {
        Some((at, _)) => &path[at + 1..],
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(paths: &[&str], label: &DatabaseLabel) -> Vec<String> {
        labels(paths, label).into_iter().map(Option::unwrap_or_default).collect()
    }

    #[test]
    fn databases_of_one_name_have_as_much_of_their_paths_as_tells_them_apart() {
        let (a, b) = ("/data/a/social.kitedb", "/data/b/social.kitedb");
        let file_name = |paths: &[&str]| of(paths, &DatabaseLabel::FileName);
        assert_eq!(file_name(&[a]), ["social.kitedb"]);
        assert_eq!(file_name(&[a, b, "/data/c/other.kitedb"]), ["a/social.kitedb", "b/social.kitedb", "other.kitedb"]);
        assert_eq!(file_name(&["/x/a/s", "/y/a/s", "/y/b/s"]), ["x/a/s", "y/a/s", "y/b/s"]);
        assert_eq!(file_name(&["s", "/s", "a/s", "/a/s"]), ["s", "/s", "a/s", "/a/s"]);
        assert_eq!(of(&[a, b], &DatabaseLabel::Path), [a, b]);
        assert_eq!(of(&[a], &DatabaseLabel::None), [""]);
        assert_eq!(of(&[a, "/data/b/other"], &DatabaseLabel::None), ["social.kitedb", "other"]);
        let custom = DatabaseLabel::Custom("shop".to_owned());
        assert_eq!(of(&[a], &custom), ["shop"]);
        assert_eq!(of(&[a, b], &custom), ["shop a/social.kitedb", "shop b/social.kitedb"]);
    }
}
