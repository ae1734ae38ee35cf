//! What looks as if the file means something else than it is taken for: told once, at the end.

use super::{
    Element,
    number::{NoNumber, Number},
};
use crate::render::number::{count, counted};
use std::collections::HashSet;

/// So many labels are told apart.
const LABELS: usize = 1 << 12;

/// From so many labels on it matters that most stand once.
const FEW: usize = 5;

/// Something that was seen, how often, and where first.
#[derive(Clone, Default)]
pub struct Seen {
    pub times: u64,
    line: u64,
    first: String,
}

impl Seen {
    pub fn note(&mut self, line: u64, what: &str) {
        if self.times == 0 {
            (self.line, self.first) = (line, what.chars().take(40).collect());
        }
        self.times += 1;
    }

    /// Where it was seen first, and what that was.
    pub fn place(&self) -> String {
        format!("line {}: `{}`", count(self.line), self.first)
    }
}

/// What was seen in the elements of a file.
#[derive(Default)]
pub struct Notes {
    numeric_types: Seen,
    blanks: Seen,
    labelled: u64,
    labels: HashSet<String>,
}

impl Notes {
    /// Looks at an element as it stands on that line.
    pub fn look(&mut self, element: &Element<'_>, line: u64) {
        let is_padded = |text: &str| text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
        match element {
            Element::Name { .. } => {}
            Element::Node { key, labels, .. } => {
                if let Some(key) = key.as_deref().filter(|key| is_padded(key)) {
                    self.blanks.note(line, key);
                }
                self.labelled += u64::from(!labels.is_empty());
                for label in labels {
                    if self.labels.len() < LABELS && !self.labels.contains(&**label) {
                        self.labels.insert(label.to_string());
                    }
                }
            }
            Element::Edge { src, dst, ty, .. } => {
                if let Some(ty) = ty.as_deref().filter(|ty| Number::read(ty) != Err(NoNumber::Other)) {
                    self.numeric_types.note(line, ty);
                }
                let texts = [src.key(), dst.key(), ty.as_deref()];
                if let Some(text) = texts.into_iter().flatten().find(|text| is_padded(text)) {
                    self.blanks.note(line, text);
                }
            }
        }
    }

    /// What whoever imports it is to know.
    pub fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.numeric_types.times > 0 {
            told.push(format!(
                "{} that looks like a number ({}): if it is a weight, import the file into a new database with --weighted, or \
                 with --columns, which says what each field is",
                counted(self.numeric_types.times, "edge has a type", "edges have a type"),
                self.numeric_types.place()
            ));
        }
        if self.blanks.times > 0 {
            told.push(format!(
                "{} a key or type that begins or ends with a blank ({}), which is part of it",
                counted(self.blanks.times, "line has", "lines have"),
                self.blanks.place()
            ));
        }
        let distinct = self.labels.len();
        if distinct >= FEW && (distinct >= LABELS || distinct as u64 * 2 > self.labelled) {
            told.push(format!(
                "the column of labels has {} on {}: if it holds names of nodes, import the file into a new database with \
                 --columns, which gives that column another name",
                counted(distinct as u64, "label", "labels"),
                counted(self.labelled, "node", "nodes")
            ));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_something_else_is_told_once() {
        let mut notes = Notes::default();
        notes.look(&Element::edge("a", "b", Some("5".into()), vec![]), 1);
        notes.look(&Element::edge("a", " b", Some("0.5".into()), vec![]), 2);
        for (line, label) in ["Ada", "Bob", "Cy", "Dan", "Eve"].into_iter().enumerate() {
            notes.look(&Element::node("n", vec![label.into()], vec![]), line as u64 + 3);
        }
        let told = notes.told();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].starts_with("2 edges have a type that looks like a number (line 1: `5`)"), "{told:?}");
        assert!(told[1].contains("(line 2: ` b`)"), "{told:?}");
        assert!(told[2].contains("has 5 labels on 5 nodes"), "{told:?}");
    }

    #[test]
    fn what_is_as_usual_is_not_told() {
        let mut notes = Notes::default();
        notes.look(&Element::edge("1", "2", Some("KNOWS".into()), vec![]), 1);
        for line in 0..20 {
            notes.look(&Element::node("n", vec![["A", "B", "C", "D", "E"][line as usize % 5].into()], vec![]), line);
        }
        assert!(notes.told().is_empty());
    }
}
