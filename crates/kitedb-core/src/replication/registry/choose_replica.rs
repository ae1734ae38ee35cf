//! Which replica a person means: by its id, the beginning of that, its name, or where it is.

use crate::{
    error::{Error, Result},
    replication::registry::Registration,
};
use std::path::{Path, PathBuf};

/// So many of the first digits of an id are needed at least where it is named by those.
pub const MIN_ID_DIGITS: usize = 4;
/// So much of an id is shown.
const SHORT: usize = 8;

/// An id as it is shown to people: of a file's id the beginning, of any other text all.
pub fn short_id(id: &str) -> &str {
    let of_a_file = id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if of_a_file { &id[..SHORT] } else { id }
}

/// The one among `all` that `which` names; `None` if it names none. An id counts before the beginning of another.
///
/// # Errors
/// `INVALID_ARGUMENT` if it names several: the message lists them, the one that reported last at the end, each with the command
/// that `removal` makes of its id.
pub fn choose<'a>(
    which: &str,
    all: &'a [Registration],
    removal: impl Fn(&str) -> String,
) -> Result<Option<&'a Registration>> {
    if let Some(exact) = all.iter().find(|found| found.replica_id == which) {
        return Ok(Some(exact));
    }
    let path = whole(Path::new(which)).map(|path| path.to_string_lossy().into_owned());
    let named = |found: &&Registration| {
        let label = |label: &Option<String>| label.as_deref() == Some(which);
        (which.len() >= MIN_ID_DIGITS && found.replica_id.starts_with(which))
            || label(&found.labels.name)
            || label(&found.labels.path)
            || (path.is_some() && found.labels.path == path)
    };
    let mut matches: Vec<_> = all.iter().filter(named).collect();
    matches.sort_by_key(|found| found.reported_at_ms);
    match matches[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => {
            let each = matches.iter().map(|found| format!("{}: {}", told(found), removal(&found.replica_id)));
            let each: Vec<String> = each.collect();
            let what = format_args!(
                "{which} names {} replicas: {}, which reported last; say which one is meant by its id",
                each.len(),
                each.join("; ")
            );
            Err(Error::invalid(what))
        }
    }
}

/// What a path of a replica leads to; of a file that is gone, where it was.
fn whole(path: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok().or_else(|| {
        let absolute = std::path::absolute(path).ok()?;
        Some(std::fs::canonicalize(absolute.parent()?).ok()?.join(absolute.file_name()?))
    })
}

fn told(found: &Registration) -> String {
    let labels = [&found.labels.name, &found.labels.path];
    let labels: Vec<&str> = labels.into_iter().filter_map(Option::as_deref).collect();
    match labels[..] {
        [] => found.replica_id.clone(),
        _ => format!("{} ({})", found.replica_id, labels.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Epoch, LogIndex};
    use crate::replication::registry::Labels;

    fn registered(id: &str, name: Option<&str>, path: Option<&str>) -> Registration {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Registration {
            replica_id: id.to_owned(),
            labels: Labels { name: text(name), path: text(path) },
            epoch: Epoch(1),
            applied: LogIndex(1),
            durable: LogIndex(1),
            reserved: None,
            reported_at_ms: 1,
        }
    }

    #[test]
    fn a_replica_is_found_by_whatever_names_it_alone() {
        let (one, two) = ("0123aaaa0123aaaa0123aaaa0123aaaa", "0123bbbb0123bbbb0123bbbb0123bbbb");
        let all = [
            registered(one, Some("west"), Some("/data/b.kitedb")),
            registered(two, Some("east"), Some("/data/c.kitedb")),
            registered("twin", Some("same"), None),
            registered("twins", Some("same"), None),
            registered("ab", None, None),
            registered("abc", None, None),
        ];
        for (which, meant) in [
            (one, Some(one)),
            ("0123aaaa", Some(one)),
            ("0123b", Some(two)),
            ("west", Some(one)),
            ("/data/c.kitedb", Some(two)),
            // All of an id, and the beginning of another one.
            ("twin", Some("twin")),
            ("ab", Some("ab")),
            // Too little of an id.
            ("012", None),
            ("a", None),
            ("", None),
            ("elsewhere", None),
            ("c.kitedb", None),
        ] {
            let found = choose(which, &all, str::to_owned).unwrap().map(|found| found.replica_id.as_str());
            assert_eq!(found, meant, "{which}");
        }
        for (which, listed) in [("0123", [one, two]), ("same", ["twin", "twins"])] {
            let error = choose(which, &all, str::to_owned).unwrap_err().to_string();
            assert!(listed.iter().all(|id| error.contains(id)), "{error}");
        }
        assert!(choose("0123", &all, str::to_owned).unwrap_err().to_string().contains("west, /data/b.kitedb"));
    }

    #[test]
    fn only_the_id_of_a_file_is_shortened() {
        assert_eq!(short_id("0123456789abcdef0123456789abcdef"), "01234567");
        for other in ["replica", "0123456789ABCDEF0123456789ABCDEF", "g123456789abcdef0123456789abcdef"] {
            assert_eq!(short_id(other), other);
        }
    }
}
