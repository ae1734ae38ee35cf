//! No two files of one room import each other, be it by a third one: who reads a file can read those below it first.

use super::{CORE, sources};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms that are looked at.
const ROOMS: [&str; 5] = ["state", "store", "db", "database", "metrics"];

/// Circles that cannot go: the room, what its files begin with, and why.
const KNOWN: [(&str, &[&str], &str); 1] = [(
    "store",
    &["merge", "run", "run_writer", "tables"],
    "a run has its tables, and one file says all of a table: how it is read from a run, written into one, merged and checked; \
     `tables!` and `stages!` are the one place that lists them",
)];

/// A file of a room, or an item of it, by the names that lead there.
type Place = Vec<String>;

/// What the files of a room are called, and what stands in them, comments and tests left out.
fn files(room: &str) -> BTreeMap<Place, String> {
    let base = Path::new(CORE).join("src").join(room);
    let mut found = BTreeMap::new();
    for path in sources(&base) {
        let name = path.strip_prefix(&base).unwrap().with_extension("");
        let mut place: Place = name.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        place.pop_if(|last| last == "mod");
        if !place.iter().any(|part| part == "tests") {
            found.insert(place, bare(&fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

/// A source without its comments, and without the tests at its end.
fn bare(source: &str) -> String {
    let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The paths that `text`, the inside of a `use`, spells out, each after `before`.
fn spelled_out(before: &[String], text: &str) -> Vec<Place> {
    let (mut depth, mut begin, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    let mut paths = Vec::new();
    for part in parts.into_iter().map(str::trim).filter(|part| !part.is_empty()) {
        let names = |text: &str| {
            let names = text.split("::").map(str::trim).filter(|name| !name.is_empty());
            before.iter().cloned().chain(names.map(str::to_owned)).collect::<Place>()
        };
        match part.split_once('{') {
            Some((names_before, rest)) => {
                let inside = rest.rsplit_once('}').map_or(rest, |(inside, _)| inside);
                paths.extend(spelled_out(&names(names_before), inside));
            }
            None => paths.push(names(part.split(" as ").next().unwrap_or_default())),
        }
    }
    paths
}

/// The paths of the `use` declarations of a source, each of which begins a line, and the source without them.
fn uses(source: &str) -> (Vec<Place>, String) {
    let (mut paths, mut rest, mut used) = (Vec::new(), String::new(), String::new());
    for line in source.lines() {
        let begins = ["use ", "pub use ", "pub(super) use ", "pub(crate) use "].iter().find_map(|word| {
            let line = line.trim_start();
            line.strip_prefix(word).filter(|_| used.is_empty())
        });
        let text = if used.is_empty() { begins } else { Some(line) };
        let Some(text) = text else {
            rest.push_str(line);
            rest.push('\n');
            continue;
        };
        used.push_str(text);
        used.push(' ');
        if let Some((whole, _)) = used.split_once(';') {
            paths.extend(spelled_out(&[], whole));
            used.clear();
        }
    }
    (paths, rest)
}

/// The paths that a source without its `use` declarations has in its code.
fn inline(rest: &str) -> impl Iterator<Item = Place> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let paths = rest.split(move |c| !is_path(c)).filter(|path| path.contains("::"));
    paths.map(|path| path.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Where in its room a path leads that the file at `from` has; `None`: out of the room.
fn within(room: &str, files: &BTreeMap<Place, String>, from: &Place, path: &Place) -> Option<Place> {
    match path.first()?.as_str() {
        "crate" => (path.get(1).map(String::as_str) == Some(room)).then(|| path[2..].to_vec()),
        "self" => Some(from.iter().chain(&path[1..]).cloned().collect()),
        "super" => {
            let up = path.iter().take_while(|name| *name == "super").count();
            let kept = from.len().checked_sub(up)?;
            Some(from[..kept].iter().chain(&path[up..]).cloned().collect())
        }
        child => {
            let below: Place = from.iter().cloned().chain([child.to_owned()]).collect();
            files.contains_key(&below).then(|| from.iter().chain(path).cloned().collect())
        }
    }
}

/// Which files of a room each file of it imports something of that they define, not only pass on.
fn imports(room: &str) -> BTreeMap<Place, BTreeSet<Place>> {
    let files = files(room);
    let parsed: BTreeMap<&Place, (Vec<Place>, String)> = files.iter().map(|(at, text)| (at, uses(text))).collect();
    let mut passed_on: BTreeMap<(&Place, &str), Place> = BTreeMap::new();
    for (at, (used, _)) in &parsed {
        for path in used {
            if let (Some(there), Some(name)) = (within(room, &files, at, path), path.last()) {
                passed_on.insert((at, name), there);
            }
        }
    }
    let file_of = |mut place: Place| {
        for _ in 0..8 {
            let file = (0..=place.len()).rev().map(|len| place[..len].to_vec()).find(|file| files.contains_key(file));
            let file = file.unwrap_or_default();
            let Some(next) = place.get(file.len()).and_then(|name| passed_on.get(&(&file, name.as_str()))) else {
                return file;
            };
            place = next.iter().chain(&place[file.len() + 1..]).cloned().collect();
        }
        Place::new()
    };
    let mut imports = BTreeMap::new();
    for (at, (used, rest)) in &parsed {
        let paths = used.iter().cloned().chain(inline(rest));
        let files = paths.filter_map(|path| within(room, &files, at, &path)).map(file_of);
        // The file of the room itself passes on what the others define.
        let files = files.filter(|file| file != *at && !file.is_empty() && !at.is_empty());
        imports.insert((*at).clone(), files.collect());
    }
    imports
}

/// Every file that can be reached from `from`.
fn reached<'a>(imports: &'a BTreeMap<Place, BTreeSet<Place>>, from: &'a Place) -> BTreeSet<&'a Place> {
    let (mut found, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(file) = next.pop() {
        next.extend(imports.get(file).into_iter().flatten().filter(|file| found.insert(*file)));
    }
    found
}

#[test]
fn no_two_files_of_one_room_import_each_other() {
    let mut faults = Vec::new();
    for room in ROOMS {
        let imports = imports(room);
        assert!(imports.values().any(|files| !files.is_empty()), "no file of {room} imports another one");
        let back: Vec<_> = imports.keys().filter(|file| reached(&imports, file).contains(file)).collect();
        for file in back {
            let known = KNOWN.iter().any(|(of, begin, _)| *of == room && begin.contains(&file[0].as_str()));
            if !known {
                let by = imports[file].iter().filter(|other| reached(&imports, other).contains(file));
                let by: Vec<String> = by.map(|other| other.join("/")).collect();
                faults.push(format!("{room}/{} leads back to itself by {}", file.join("/"), by.join(", ")));
            }
        }
    }
    assert!(faults.is_empty(), "move what these files share into a file below them: {faults:#?}");
}

#[test]
fn a_circle_that_is_known_is_there() {
    for (room, begin, why) in KNOWN {
        let imports = imports(room);
        for first in begin {
            let circles = imports.keys().filter(|file| file[..].first().is_some_and(|name| name == first));
            let mut circles = circles.filter(|file| reached(&imports, file).contains(file));
            assert!(circles.next().is_some(), "{room}/{first} is in no circle any more: {why}");
        }
    }
}

#[test]
fn imports_are_found_however_they_are_written() {
    let source = bare(
        "use super::{a::{B,\n    c::D}, e as f};\npub(super) use crate::room::g; // super::not_this\n\
         fn h() -> super::i::J { k::l(\"as it is, because of use; and so on\") }\n\
         #[cfg(test)]\nmod tests { use super::n; }",
    );
    let (used, rest) = uses(&source);
    let all: Vec<String> = used.into_iter().chain(inline(&rest)).map(|path| path.join("::")).collect();
    assert_eq!(all, ["super::a::B", "super::a::c::D", "super::e", "crate::room::g", "super::i::J", "k::l"]);
}
