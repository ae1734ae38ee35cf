//! `docs/design.md` and the sources say the same: what it names is there, and who upholds an invariant cites it.

mod circles;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

const CORE: &str = env!("CARGO_MANIFEST_DIR");

/// The document; `None`, said aloud, in a packaged crate, which comes without it.
fn design() -> Option<String> {
    let docs = Path::new(CORE).join("../../docs");
    if !docs.exists() {
        println!("skipped: there are no documents beside this crate");
        return None;
    }
    Some(fs::read_to_string(docs.join("design.md")).unwrap())
}

/// The sources below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => files.extend(Some(entry.path()).filter(|path| path.extension().is_some_and(|e| e == "rs"))),
            }
        }
    }
    files
}

/// Which file the document means: by its path, or by the end of it where only one has that.
fn find(named: &str) -> Result<PathBuf, String> {
    let (core, crates) = (Path::new(CORE), Path::new(CORE).join(".."));
    let telemetry = crates.join("kitedb-telemetry/src");
    let whole = [core.join("src"), core.to_owned(), crates, telemetry].map(|base| base.join(named));
    if let Some(path) = whole.into_iter().find(|path| path.exists()) {
        return Ok(path);
    }
    let mut by_end = sources(&core.join("src"));
    by_end.retain(|path| path.ends_with(named));
    match by_end.len() {
        1 => Ok(by_end.remove(0)),
        0 => Err(format!("there is no {named}")),
        _ => Err(format!("{named} may be any of {by_end:?}")),
    }
}

/// `a/{b,c}.rs` as `a/b.rs` and `a/c.rs`.
fn spelled_out(named: &str) -> Vec<String> {
    let braces = named.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)));
    match braces {
        Some((before, (inside, after))) => inside.split(',').map(|part| format!("{before}{part}{after}")).collect(),
        None => vec![named.to_owned()],
    }
}

/// The words of a text: letters, digits and underscores.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn has_word(text: &str, word: &str) -> bool {
    words(text).any(|found| found == word)
}

/// Whether a source defines `name`: a function, a type, a constant, or a field.
fn defines(source: &str, name: &str) -> bool {
    const KINDS: [&str; 8] = ["fn", "static", "const", "struct", "enum", "trait", "type", "mod"];
    let named = words(source).zip(words(source).skip(1)).any(|(kind, word)| word == name && KINDS.contains(&kind));
    let field = |line: &str| {
        let rest = line.trim_start().trim_start_matches("pub").trim_start();
        let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(") ")).map_or(rest, |(_, rest)| rest);
        rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(':') && !rest.starts_with("::"))
    };
    named || source.lines().any(field)
}

/// A part of the document between backticks that names something of the sources.
enum Named<'a> {
    File(&'a str),
    /// A name after the last `::` of what is written; `plain`: there is none.
    Name {
        name: &'a str,
        plain: bool,
    },
}

/// What is between backticks, with the text before each.
fn spans(text: &str) -> Vec<(&str, Option<Named<'_>>)> {
    let mut parts = text.split('`');
    let mut all = Vec::new();
    while let (Some(before), Some(inside)) = (parts.next(), parts.next()) {
        let is_name = |text: &str| text.split("::").all(|part| words(part).eq([part]));
        let named = if inside.ends_with(".rs") {
            Some(Named::File(inside))
        } else if is_name(inside) {
            let name = inside.rsplit("::").next().unwrap();
            Some(Named::Name { name, plain: name == inside })
        } else {
            None
        };
        all.push((before, named));
    }
    all
}

/// The lines of the document as paragraphs: a name may stand in the line after its file.
fn paragraphs(text: &str) -> Vec<String> {
    let mut fenced = false;
    let lines = text.lines().map(|line| {
        let code = line.trim_start().starts_with("```");
        fenced ^= code;
        if code || fenced { "" } else { line }
    });
    let lines: Vec<&str> = lines.collect();
    lines.join("\n").split("\n\n").flat_map(|part| part.split("\n|")).map(str::to_owned).collect()
}

#[test]
fn every_file_and_function_that_the_design_names_is_there() {
    let Some(design) = design() else { return };
    let (mut faults, mut files, mut names) = (Vec::new(), 0, 0);
    for paragraph in paragraphs(&design) {
        let spans = spans(&paragraph);
        for (at, (before, named)) in spans.iter().enumerate() {
            let Some(Named::File(file)) = named else { continue };
            for file in spelled_out(file) {
                files += 1;
                let source = match find(&file) {
                    Ok(path) => fs::read_to_string(path).unwrap(),
                    Err(fault) => {
                        faults.push(fault);
                        continue;
                    }
                };
                let mut told: Vec<&str> = Vec::new();
                // "`name` (`file.rs`)", and "`file.rs` `name`, `name`".
                if let (Some((_, Some(Named::Name { name, .. }))), true) =
                    (at.checked_sub(1).and_then(|at| spans.get(at)), before.trim_start() == "(")
                {
                    told.push(name);
                }
                for (n, (between, named)) in spans[at + 1..].iter().enumerate() {
                    let joined = match between.trim() {
                        "" => n == 0,
                        "," | "and" | "or" => n > 0,
                        _ => false,
                    };
                    let Some(Named::Name { name, .. }) = named.as_ref().filter(|_| joined) else { break };
                    told.push(name);
                }
                names += told.len();
                let missing = told.iter().filter(|name| !defines(&source, name));
                faults.extend(missing.map(|name| format!("{file} has no `{name}`")));
            }
        }
    }
    assert!(faults.is_empty(), "docs/design.md names what is not there: {faults:#?}");
    assert!(files > 100 && names > 60, "{files} files and {names} names were looked at");
}

/// The number of an invariant, such as `I7`, where a word is one.
fn number(word: &str) -> Option<u32> {
    word.strip_prefix('I')?.parse().ok()
}

/// The rows of the table of invariants: number, and what it says of who upholds it.
fn invariants(design: &str) -> Vec<(u32, &str)> {
    let rows = design.lines().filter_map(|line| {
        let cells: Vec<&str> = line.strip_prefix('|')?.trim_end_matches('|').split('|').map(str::trim).collect();
        Some((number(cells.first()?)?, *cells.get(2)?))
    });
    rows.collect()
}

#[test]
fn who_upholds_an_invariant_cites_its_number() {
    let Some(design) = design() else { return };
    let table = invariants(&design);
    let numbers: Vec<u32> = table.iter().map(|(number, _)| *number).collect();
    assert!(numbers.len() > 40 && numbers.iter().copied().eq(1..=numbers.len() as u32), "{numbers:?}");
    let mut faults = Vec::new();
    for (number, upheld) in table {
        let mut source: Option<(&str, String)> = None;
        for (before, named) in spans(upheld) {
            match named {
                Some(Named::File(file)) => {
                    let text = find(file).map(|path| fs::read_to_string(path).unwrap());
                    let text = text.unwrap_or_else(|fault| panic!("I{number}: {fault}"));
                    if !has_word(&text, &format!("I{number}")) {
                        faults.push(format!("{file} upholds I{number} and does not cite it"));
                    }
                    source = Some((file, text));
                }
                Some(Named::Name { name, plain }) => {
                    let Some((file, text)) = &source else {
                        faults.push(format!("I{number} says no file of `{name}`"));
                        continue;
                    };
                    // What is qualified, or said beside, may be of another file, and is used there.
                    let beside = !plain || before.ends_with('(');
                    if !(defines(text, name) || beside && has_word(text, name)) {
                        faults.push(format!("I{number}: {file} has no `{name}`"));
                    }
                }
                None => {}
            }
        }
        if source.is_none() {
            faults.push(format!("I{number} names no file"));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_source_cites_an_invariant_that_the_design_has_not() {
    let Some(design) = design() else { return };
    let known: BTreeSet<u32> = invariants(&design).into_iter().map(|(number, _)| number).collect();
    let mut cited = 0;
    for path in sources(&Path::new(CORE).join("..")) {
        if !path.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            // In a comment, or at the beginning of what an assertion says.
            let said = line.split_once("//").map(|(_, said)| said).or_else(|| {
                let said = line.trim_start().split_once('"')?.1;
                said.split_once(": ").filter(|(first, _)| number(first).is_some()).map(|_| said)
            });
            // A path such as `Value::I64` cites nothing.
            let said = said.into_iter().flat_map(str::split_whitespace).filter(|part| !part.contains("::"));
            for number in said.flat_map(words).filter_map(number) {
                assert!(known.contains(&number), "{} cites I{number}: {line}", path.display());
                cited += 1;
            }
        }
    }
    assert!(cited >= known.len(), "{cited} citations were found");
}
