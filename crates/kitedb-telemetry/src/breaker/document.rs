//! States as they are kept where others write, too: what this version does not know of is written back as it was read.

use super::BreakerState;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// The members that [`BreakerState`] has.
const KNOWN: [&str; 8] = [
    "consecutive_failures",
    "open_until_ms",
    "half_open_remaining_probes",
    "half_open_in_flight",
    "ewma_error_score",
    "failure_streak",
    "generation",
    "probe_until_ms",
];

type Members = BTreeMap<String, Box<RawValue>>;

/// The state of one key, and whatever else stands in its object.
#[derive(Debug, Clone, Default)]
pub(crate) struct Entry {
    pub state: BreakerState,
    unknown: Members,
}

impl Entry {
    /// Reads an entry. An empty object is a state in which all is 0; an object of which nothing is known is no state.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut unknown: Members = serde_json::from_str(text).map_err(|e| format!("no breaker state: {e}"))?;
        let state = serde_json::from_str(text).map_err(|e| format!("no breaker state: {e}"))?;
        let members = unknown.len();
        unknown.retain(|name, _| !KNOWN.contains(&name.as_str()));
        if members > 0 && unknown.len() == members {
            return Err("no breaker state: none of its members is known".to_owned());
        }
        Ok(Self { state, unknown })
    }

    /// Its object. `None`: it says no more than no entry says.
    pub fn render(&self) -> Result<Option<Box<RawValue>>, String> {
        if self.unknown.is_empty() && self.state == BreakerState::default() {
            return Ok(None);
        }
        let known = serde_json::to_string(&self.state).map_err(|e| e.to_string())?;
        let mut members: Members = serde_json::from_str(&known).map_err(|e| e.to_string())?;
        members.extend(self.unknown.iter().map(|(name, value)| (name.clone(), value.clone())));
        serde_json::value::to_raw_value(&members).map(Some).map_err(|e| e.to_string())
    }
}

/// All keys of one file or of one HTTP store: a JSON object, key to entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Document(Members);

impl Document {
    /// Reads a document. `None`: the text is blank or `null`, so there is none. Entries are looked at when they are
    /// asked for, so that one that is not in order is in nobody else's way.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let document: Option<Members> =
            serde_json::from_str(text).map_err(|e| format!("no document of breaker states: {e}"))?;
        Ok(document.map(Self))
    }

    /// The entry of `key`, which may be absent or `null`.
    ///
    /// # Errors
    /// What is wrong with the entry.
    pub fn entry(&self, key: &str) -> Result<Option<Entry>, String> {
        match self.raw(key) {
            None | Some("null") => Ok(None),
            Some(text) => Entry::parse(text).map(Some),
        }
    }

    /// The text of the entry of `key`.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(|entry| entry.get())
    }

    /// Puts an entry in place, or takes it out.
    pub fn set(&mut self, key: &str, entry: Option<Box<RawValue>>) {
        match entry {
            Some(entry) => self.0.insert(key.to_owned(), entry),
            None => self.0.remove(key),
        };
    }

    /// Its text.
    pub fn render(&self) -> Result<String, String> {
        serde_json::to_string(&self.0).map_err(|e| e.to_string())
    }

    /// The keys, in order.
    #[cfg(feature = "breaker-store")]
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> BreakerState {
        BreakerState {
            consecutive_failures: 1,
            open_until_ms: 2,
            half_open_remaining_probes: 3,
            half_open_in_flight: true,
            ewma_error_score: 0.1,
            failure_streak: 4,
            generation: 5,
            probe_until_ms: 6,
        }
    }

    #[test]
    fn every_member_of_a_state_is_known() {
        let members: Members = serde_json::from_str(&serde_json::to_string(&full()).unwrap()).unwrap();
        let mut known = KNOWN;
        known.sort_unstable();
        assert_eq!(members.keys().map(String::as_str).collect::<Vec<_>>(), known);
    }

    #[test]
    fn an_entry_keeps_what_it_does_not_know_to_the_byte() {
        let text = r#"{"consecutive_failures":2,"later":[1.00,{"a" : 9007199254740993.10}],"x":null}"#;
        let mut entry = Entry::parse(text).unwrap();
        assert_eq!(entry.state, BreakerState { consecutive_failures: 2, ..Default::default() });
        entry.state = full();
        let text = entry.render().unwrap().unwrap().get().to_owned();
        assert!(
            text.contains(r#""later":[1.00,{"a" : 9007199254740993.10}],"#) && text.contains(r#""x":null"#),
            "{text}"
        );
        assert_eq!(Entry::parse(&text).unwrap().state, full());
    }

    #[test]
    fn a_state_in_which_all_is_0_is_no_entry_unless_somebody_else_has_members_in_it() {
        assert!(Entry::parse("{}").unwrap().render().unwrap().is_none());
        let mut entry = Entry::parse(r#"{"consecutive_failures":2,"later":1}"#).unwrap();
        entry.state = BreakerState::default();
        assert!(entry.render().unwrap().unwrap().get().contains(r#""later":1"#));
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        for text in [
            "",
            "[]",
            "[1,2]",
            "1",
            "\"open\"",
            "{",
            r#"{"consecutive_failures":-1}"#,
            r#"{"open_until_ms":"soon"}"#,
            r#"{"error":"no"}"#,
            r#"{"ewma_error_score":1e999}"#,
            r#"{"half_open_remaining_probes":4294967296}"#,
        ] {
            assert!(Entry::parse(text).unwrap_err().starts_with("no breaker state"), "{text}");
        }
    }

    #[test]
    fn a_document_keeps_the_entries_of_others_to_the_byte() {
        let text = r#"{"a":{"open_until_ms":7},"b": {"what": 1.10},"c":"?","d":null}"#;
        let mut document = Document::parse(text).unwrap().unwrap();
        assert_eq!(document.entry("a").unwrap().unwrap().state.open_until_ms, 7);
        assert!(document.entry("b").is_err() && document.entry("c").is_err());
        assert!(document.entry("d").unwrap().is_none() && document.entry("e").unwrap().is_none());
        document.set("a", None);
        document.set("e", Entry { state: full(), ..Default::default() }.render().unwrap());
        let text = document.render().unwrap();
        assert!(text.starts_with(r#"{"b":{"what": 1.10},"c":"?","d":null,"e":{"#), "{text}");
    }

    #[test]
    fn a_blank_document_is_absent_and_another_thing_is_an_error() {
        for text in ["", " \n", "null", " null "] {
            assert!(Document::parse(text).unwrap().is_none(), "{text:?}");
        }
        for text in ["[]", "1", "{", "<html>", "{}x"] {
            assert!(Document::parse(text).is_err(), "{text:?}");
        }
        assert!(Document::parse("{}").unwrap().is_some());
    }
}
