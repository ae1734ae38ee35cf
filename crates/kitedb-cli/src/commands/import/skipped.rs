//! The list of bad lines that were left out: a file beside the database, made with the first of them.

use crate::failure::{Failure, Outcome};
use serde_json::json;
use std::{
    fs::File,
    io::{self, BufWriter, ErrorKind, Write},
    path::{Path, PathBuf},
};

/// So many lists are beside a database at most.
const LISTS: u32 = 10_000;

pub struct Skipped {
    database: PathBuf,
    list: Option<(PathBuf, BufWriter<File>)>,
}

impl Skipped {
    pub fn beside(database: &Path) -> Self {
        Self { database: database.to_owned(), list: None }
    }

    /// Adds what begins on one line and ends on another one to the list.
    pub fn add(&mut self, file: &str, (line, to): (u64, u64), what: &str) -> Outcome {
        let entry = json!({ "file": file, "line": line, "to": to, "error": what });
        let (path, list) = match &mut self.list {
            Some(list) => list,
            None => self.list.insert(make(&self.database)?),
        };
        writeln!(list, "{entry}").map_err(|e| not_written(path, &e))
    }

    /// Where it is, if there is one.
    pub fn path(&self) -> Option<PathBuf> {
        self.list.as_ref().map(|(path, _)| path.clone())
    }

    /// Writes the rest of it.
    pub fn finish(&mut self) -> Outcome {
        match &mut self.list {
            Some((path, list)) => list.flush().map_err(|e| not_written(path, &e)),
            None => Ok(()),
        }
    }
}

/// A new file; none that is there is written over.
fn make(database: &Path) -> Outcome<(PathBuf, BufWriter<File>)> {
    let mut failed = io::Error::from(ErrorKind::AlreadyExists);
    for number in 1..LISTS {
        let mut path = database.as_os_str().to_owned();
        path.push(if number == 1 { ".skipped.jsonl".to_owned() } else { format!(".skipped-{number}.jsonl") });
        let path = PathBuf::from(path);
        match File::create_new(&path) {
            Ok(file) => return Ok((path, BufWriter::new(file))),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => failed = e,
            Err(e) => return Err(not_written(&path, &e)),
        }
    }
    Err(not_written(database, &failed))
}

fn not_written(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format_args!("the list of bad lines, {}, cannot be written: {error}", path.display()))
        .hint("what is committed stays; leave --skip-bad out, or see to the folder of the database")
}
