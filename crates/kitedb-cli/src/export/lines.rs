//! Lines of an export: an object each, whose parts are written as they come.

use super::Failed;
use crate::{failure::Failure, import::MAX_JSON_LINE};
use serde_json::{Value as Json, json};
use std::io::Write;

/// A line that is so long does not grow any more: what is left goes into further lines about the same node or edge.
const LONG: usize = 1 << 20;

/// Writes lines, and counts them.
pub struct Lines<'o> {
    out: &'o mut dyn Write,
    /// So many bytes an import takes for a line.
    limit: usize,
    line: String,
    /// What each further line about an element begins with.
    head: String,
    /// The object within the line that is open.
    section: Option<&'static str>,
    /// Whether no line about the element is written yet.
    first: bool,
    pub count: u64,
    pub bytes: u64,
}

impl<'o> Lines<'o> {
    pub fn new(out: &'o mut dyn Write) -> Self {
        let limit = MAX_JSON_LINE;
        Self { out, limit, line: String::new(), head: String::new(), section: None, first: true, count: 0, bytes: 0 }
    }

    /// Writes a line that holds these fields.
    pub fn whole(&mut self, fields: &[(&str, Json)]) -> Result<(), Failed> {
        self.begin(fields, &[])?;
        self.end()
    }

    /// Begins the first line about an element: fields that every line about it has, because they say which one it is, and
    /// those of the first line alone.
    pub fn begin(&mut self, every: &[(&str, Json)], first: &[(&str, Json)]) -> Result<(), Failed> {
        self.head.clear();
        let mut separator = '{';
        for (name, value) in every {
            self.head.push_str(&format!("{separator}\"{name}\":{value}"));
            separator = ',';
        }
        self.line.clone_from(&self.head);
        self.first = true;
        for (name, value) in first {
            self.line.push_str(&format!(",\"{name}\":{value}"));
        }
        Ok(())
    }

    /// Puts an entry into an object of the line, or of the next one if this one is long, or would be.
    pub fn put(&mut self, section: &'static str, name: &str, value: &Json) -> Result<(), Failed> {
        let entry = format!("{}:{value}", json!(name));
        // A long value has a line to itself, the first one apart: it is set as it was, in a frame that it may fill.
        if (self.first || self.line.len() > self.head.len()) && self.line.len() + entry.len() > LONG {
            self.end()?;
            self.line.clone_from(&self.head);
        }
        if self.section != Some(section) {
            self.close_section();
            self.line.push_str(&format!(",\"{section}\":{{"));
            self.section = Some(section);
        } else {
            self.line.push(',');
        }
        self.line.push_str(&entry);
        Ok(())
    }

    /// Ends the line.
    pub fn end(&mut self) -> Result<(), Failed> {
        self.close_section();
        self.line.push_str("}\n");
        if self.line.len() > self.limit {
            let what = format_args!(
                "nothing is exported, because {}}} would need a line of {} bytes, and an import takes {} at most",
                self.head,
                self.line.len(),
                self.limit
            );
            return Err(Failed::Other(Failure::new(what)));
        }
        self.out.write_all(self.line.as_bytes())?;
        self.first = false;
        self.count += 1;
        self.bytes += self.line.len() as u64;
        self.line.clear();
        // One long line must not keep its memory for ever.
        self.line.shrink_to(LONG);
        Ok(())
    }

    fn close_section(&mut self) {
        if self.section.take().is_some() {
            self.line.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_written_that_an_import_does_not_take() {
        let mut out = Vec::new();
        let mut lines = Lines { limit: 100, ..Lines::new(&mut out) };
        lines.whole(&[("id", json!(7)), ("text", json!("x".repeat(60)))]).unwrap();
        lines.begin(&[("type", json!("node")), ("node_id", json!(7))], &[]).unwrap();
        lines.put("props", "a", &json!("x".repeat(90))).unwrap();
        let failure = lines.end().unwrap_err().into_failure("-");
        for phrase in [r#"{"type":"node","node_id":7}"#, "a line of 135 bytes", "100 at most"] {
            assert!(failure.message().contains(phrase), "{}", failure.message());
        }
    }

    #[test]
    fn a_long_element_takes_several_lines_that_say_which_it_is() {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out);
        let (long, short) = (json!("x".repeat(LONG)), json!(1));
        lines.begin(&[("id", json!(7))], &[("labels", json!(["A"]))]).unwrap();
        lines.put("props", "a", &short).unwrap();
        lines.put("props", "b\"", &long).unwrap();
        lines.put("props", "c", &short).unwrap();
        lines.put("vectors", "d", &short).unwrap();
        lines.end().unwrap();
        lines.begin(&[("id", json!(8))], &[]).unwrap();
        lines.put("props", "b", &long).unwrap();
        lines.end().unwrap();
        lines.whole(&[("end", json!(true))]).unwrap();
        let counted = (lines.count, lines.bytes);
        assert_eq!(counted, (6, out.len() as u64));
        let shown = String::from_utf8(out).unwrap().replace(&"x".repeat(LONG), "xx");
        let want = [
            r#"{"id":7,"labels":["A"],"props":{"a":1}}"#,
            r#"{"id":7,"props":{"b\"":"xx"}}"#,
            r#"{"id":7,"props":{"c":1},"vectors":{"d":1}}"#,
            r#"{"id":8}"#,
            r#"{"id":8,"props":{"b":"xx"}}"#,
            r#"{"end":true}"#,
        ];
        assert_eq!(shown.lines().collect::<Vec<_>>(), want);
    }
}
