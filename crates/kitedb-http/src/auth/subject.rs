//! Whose certificate it is: patterns about the subject of one, as a header tells it.

use crate::ConfigError;
use regex_automata::{Anchored, Input, MatchKind, meta::Regex};
use std::ops::Range;

/// Longer ones, and those of more attributes, are nobody's: what is matched here was sent by somebody else.
const MAX_LENGTH: usize = 4096;
const MAX_ATTRIBUTES: usize = 32;

/// A pattern that must match whole attributes: from the beginning of one, or of a value (where that has no `=` in it), to the end of
/// one. `CN=admin` admits `CN=admin,O=KiteDB`, and neither `CN=administrator` nor an organisation that calls itself `x,CN=admin`.
/// `^` and `$` are the ends of the whole subject.
#[derive(Debug)]
pub(super) struct SubjectRule(Regex);

impl SubjectRule {
    pub fn new(pattern: &str) -> Result<Self, ConfigError> {
        // All matches, so that the longest one within a range is found.
        let config = Regex::config().match_kind(MatchKind::All).nfa_size_limit(Some(1 << 20));
        let regex = Regex::builder().configure(config).build(pattern).map_err(|e| {
            let why = e.syntax_error().map_or_else(|| e.to_string(), ToString::to_string);
            ConfigError::new(format!("the certificate subject pattern cannot be read: {why}"))
        })?;
        if regex.is_match("") {
            return Err(ConfigError::new(
                "the certificate subject pattern matches an empty subject, and so admits everybody: say whom it is to admit",
            ));
        }
        Ok(Self(regex))
    }

    pub fn admits(&self, subject: &str) -> bool {
        let Some(attributes) = attributes_of(subject) else { return false };
        let ends: Vec<usize> = attributes.iter().flat_map(|attribute| attribute.ends(subject)).collect();
        let mut starts = attributes.iter().flat_map(|attribute| attribute.starts(subject));
        starts.any(|from| ends.iter().any(|&to| from < to && self.matches(subject, from..to)))
    }

    /// Whether the pattern matches exactly this range. What stands around it is seen by `^`, `$` and `\b`.
    fn matches(&self, subject: &str, range: Range<usize>) -> bool {
        let input = Input::new(subject).span(range.clone()).anchored(Anchored::Yes);
        self.0.find(input).is_some_and(|found| found.range() == range)
    }
}

/// Where an attribute of a subject lies in its text, in bytes.
#[derive(Debug, Clone, Copy)]
struct Attribute {
    is_common_name: bool,
    from: usize,
    value: usize,
    to: usize,
}

impl Attribute {
    fn starts(&self, subject: &str) -> Vec<usize> {
        let value = &subject[self.value..self.to];
        match value {
            // A value may look like another attribute.
            _ if value.contains('=') => vec![self.from],
            _ if value.starts_with('"') => vec![self.from, self.value, self.value + 1],
            _ => vec![self.from, self.value],
        }
    }

    fn ends(&self, subject: &str) -> Vec<usize> {
        let value = &subject[self.value..self.to];
        let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
        if quoted { vec![self.to - 1, self.to] } else { vec![self.to] }
    }
}

/// The subject that a header tells: the value itself, or what Envoy wrote about one certificate.
pub(super) fn subject_of_header(value: &str) -> Option<&str> {
    if !is_envoy_pair(value) {
        return Some(value);
    }
    // More than one element: a chain of proxies, or a client who sent one of his own before the proxy's.
    let [element] = split_outside_quotes(value, b',')[..] else { return None };
    let pairs: Vec<&str> = split_outside_quotes(element, b';').into_iter().map(str::trim).collect();
    if !pairs.iter().all(|pair| is_envoy_pair(pair)) {
        return None;
    }
    let mut subjects = pairs.iter().filter_map(|pair| strip_key(pair, "subject"));
    let (Some(text), None) = (subjects.next(), subjects.next()) else { return None };
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text) {
        unquoted if unquoted.contains('"') => None,
        unquoted => Some(unquoted),
    }
}

fn is_envoy_pair(text: &str) -> bool {
    ["by", "hash", "cert", "chain", "subject", "uri", "dns"].iter().any(|key| strip_key(text, key).is_some())
}

/// What follows `key=`, in any case.
fn strip_key<'a>(pair: &'a str, key: &str) -> Option<&'a str> {
    let (found, value) = pair.split_once('=')?;
    found.eq_ignore_ascii_case(key).then_some(value)
}

fn split_outside_quotes(text: &str, separator: u8) -> Vec<&str> {
    let (mut parts, mut from, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == separator && !quoted => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Where the attributes are; `None` if it is not known what the text says.
fn attributes_of(subject: &str) -> Option<Vec<Attribute>> {
    // A line end is in no subject that means well.
    let is_control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if subject.len() > MAX_LENGTH || subject.contains(is_control) {
        return None;
    }
    // A name, a fingerprint: one value, that is matched as a whole.
    if !subject.contains('=') {
        return Some(vec![Attribute { is_common_name: false, from: 0, value: 0, to: subject.len() }]);
    }
    // As OpenSSL once wrote them: `/O=KiteDB/CN=admin`. Nothing is escaped or quoted there.
    let slashes = subject.starts_with('/');
    let separates = |byte: u8| if slashes { byte == b'/' } else { matches!(byte, b',' | b';' | b'+') };
    let mut open = attribute_at(subject, usize::from(slashes))?;
    let (mut attributes, mut quoted, mut at) = (Vec::new(), false, open.value);
    let bytes = subject.as_bytes();
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' if !slashes => at += 1,
            // It opens a value, or it should have been escaped.
            b'"' if !slashes && !quoted && at != open.value => return None,
            b'"' if !slashes => quoted = !quoted,
            // What no attribute follows is part of the value, as in `O=Smith, Sons`.
            _ if !quoted && separates(byte) => {
                if let Some(next) = attribute_at(subject, at + 1) {
                    attributes.push(Attribute { to: at, ..open });
                    at = next.value - 1;
                    open = next;
                }
            }
            _ => {}
        }
        at += 1;
    }
    attributes.push(Attribute { to: subject.len(), ..open });
    // It ends within quotes or after a backslash.
    if quoted || at > bytes.len() || attributes.len() > MAX_ATTRIBUTES {
        return None;
    }
    // Two names: headers of two senders that were joined, or (where slashes are not escaped) one that is written into another value.
    (attributes.iter().filter(|attribute| attribute.is_common_name).count() < 2).then_some(attributes)
}

/// `CN=`, `2.5.4.3=`, with blanks around it as OpenSSL may write it.
fn attribute_at(subject: &str, at: usize) -> Option<Attribute> {
    let text = subject.get(at..)?;
    let blanks = text.len() - text.trim_start_matches(' ').len();
    let (name, value) = text.split_once('=')?;
    let name = name.trim_matches(' ');
    let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_number = name.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    if !is_word && !is_number {
        return None;
    }
    let is_common_name = ["cn", "commonname", "2.5.4.3"].iter().any(|known| name.eq_ignore_ascii_case(known));
    let value = subject.len() - value.trim_start_matches(' ').len();
    Some(Attribute { is_common_name, from: at + blanks, value, to: value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pattern: &str, value: &str) -> bool {
        let rule = SubjectRule::new(pattern).unwrap();
        subject_of_header(value).is_some_and(|subject| rule.admits(subject))
    }

    #[test]
    fn a_pattern_matches_whole_attributes() {
        for (pattern, value) in [
            ("CN=admin", "CN=admin,O=KiteDB"),
            ("CN=admin", "O=KiteDB, CN=admin"),
            ("admin", "CN=admin,O=KiteDB"),
            ("CN=admin,O=KiteDB", "CN=admin,O=KiteDB,C=DE"),
            ("^CN=admin,O=KiteDB$", "CN=admin,O=KiteDB"),
            ("CN=(admin|operator)", "CN=operator"),
            ("CN=a|CN=admin", "CN=admin"),
            ("CN=admin", "/O=KiteDB/CN=admin"),
            ("CN=admin", r#"By=spiffe://x;Hash=ab;Subject="CN=admin,O=KiteDB";URI="#),
            ("Smith, Sons", "CN=a,O=Smith, Sons"),
            ("Smith, Sons", r#"CN=a,O="Smith, Sons""#),
            ("CN = admin", "CN = admin"),
            ("ab:cd", "ab:cd"),
            ("CN=.*", "CN=ä"),
        ] {
            assert!(admits(pattern, value), "{pattern} {value}");
        }
    }

    #[test]
    fn a_pattern_matches_nothing_else() {
        for (pattern, value) in [
            ("CN=admin", "CN=administrator"),
            ("CN=admin", "O=CN=admin"),
            ("CN=admin", r"O=x\,CN=admin,CN=eve"),
            ("CN=admin", r#"O="x,CN=admin",CN=eve"#),
            ("CN=admin", "CN=eve,CN=admin"),
            ("CN=admin", "CN=eve/CN=admin"),
            ("admin", "CN=eve,O=not admin"),
            ("^CN=admin$", "CN=admin,O=KiteDB"),
            ("CN=admin", "CN=admin\u{2028}"),
            ("CN=admin", r"CN=admin\"),
            ("CN=admin", r#"CN="admin"#),
            ("CN=admin", "/O=x/CN=eve/CN=admin"),
            ("CN=admin", r#"Subject="CN=admin",Subject="CN=eve""#),
            ("CN=admin", r#"Subject="CN=admin";Subject="CN=eve""#),
            ("CN=admin", r#"Hash=ab;Subject="CN=admin";other"#),
            ("CN=admin", ""),
        ] {
            assert!(!admits(pattern, value), "{pattern} {value}");
        }
        let many: Vec<String> = (0..MAX_ATTRIBUTES).map(|n| format!("O={n}")).collect();
        assert!(!admits("CN=admin", &format!("CN=admin,{}", many.join(","))));
        assert!(!admits("CN=a*", &format!("CN={}", "a".repeat(MAX_LENGTH))));
    }

    #[test]
    fn a_pattern_that_admits_everybody_or_looks_around_is_refused() {
        for (pattern, says) in
            [(".*", "admits everybody"), ("", "admits everybody"), ("(?=CN)x", "cannot be read"), ("(", "cannot")]
        {
            let error = SubjectRule::new(pattern).unwrap_err().to_string();
            assert!(error.contains(says), "{pattern}: {error}");
        }
    }
}
