//! The file that says who else is admitted: hashes of tokens and subjects of certificates, with names and scopes.

use super::{Admitted, Scope, Scopes, subject::SubjectRule, token::Token};
use crate::{ConfigError, owned::read_owned};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::{fmt, path::Path};

/// `{"tokens": {HASH: {"name", "scopes"}}, "subjects": {PATTERN: {"name", "scopes"}}}`. What is in it was looked over whole: a file
/// with anything in it that is not known is none.
#[derive(Debug)]
pub(super) struct TokensFile {
    tokens: Vec<(Token, Admitted)>,
    /// In their order in the file: the first that matches counts.
    subjects: Vec<(SubjectRule, Admitted)>,
}

impl TokensFile {
    /// Errors name the place of what is wrong, and repeat neither hashes nor tokens.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_owned(path, "the tokens file")?;
        Self::parse(&bytes).map_err(|why| ConfigError::new(format!("the tokens file, {}: {why}", path.display())))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let tree: Json = serde_json::from_slice(bytes).map_err(|e| format!("it is no JSON: {e}"))?;
        let Json::Object(members) = tree else { return Err("it is no JSON object".to_owned()) };
        let [tokens, subjects] = members_of(members, ["tokens", "subjects"], "the file")?;
        let tokens = entries_of(tokens, "tokens", |key, place, known: &[(Token, Admitted)]| {
            let token = Token::of_hash(key)
                .ok_or(format!("{place} does not stand under a SHA-256 hash of 64 hexadecimal digits"))?;
            match known.iter().position(|(other, _)| other.is(&token)) {
                Some(at) => Err(format!("{place} stands under the same hash as entry {}", at + 1)),
                None => Ok(token),
            }
        })?;
        let mut patterns: Vec<String> = Vec::new();
        let subjects = entries_of(subjects, "subjects", |key, place, _: &[(SubjectRule, Admitted)]| {
            if let Some(at) = patterns.iter().position(|other| other == key) {
                return Err(format!("{place} stands under the same pattern as entry {}", at + 1));
            }
            patterns.push(key.to_owned());
            SubjectRule::new(key).map_err(|e| format!("{place}: {e}"))
        })?;
        Ok(Self { tokens, subjects })
    }

    pub fn has_tokens(&self) -> bool {
        !self.tokens.is_empty()
    }

    pub fn has_subjects(&self) -> bool {
        !self.subjects.is_empty()
    }

    /// Whose token it is. Every one is compared, so that how long it takes tells nothing of them.
    pub fn bearer_of(&self, shown: &Token) -> Option<&Admitted> {
        self.tokens.iter().fold(None, |found, (token, admitted)| if token.is(shown) { Some(admitted) } else { found })
    }

    /// Whose certificate it is.
    pub fn holder_of(&self, subject: &str) -> Option<&Admitted> {
        self.subjects.iter().find(|(rule, _)| rule.admits(subject)).map(|(_, admitted)| admitted)
    }
}

/// Reads the entries of a member: what each stands under by `read_key`, and whom it admits.
fn entries_of<K>(
    member: Option<Json>,
    name: &str,
    mut read_key: impl FnMut(&str, &str, &[(K, Admitted)]) -> Result<K, String>,
) -> Result<Vec<(K, Admitted)>, String> {
    let entries = match member {
        None => Vec::new(),
        Some(Json::Object(entries)) => entries,
        Some(_) => return Err(format!("{name} is no object")),
    };
    let mut read = Vec::with_capacity(entries.len());
    for (at, (key, value)) in entries.into_iter().enumerate() {
        let place = format!("entry {} of {name}", at + 1);
        let key = read_key(&key, &place, &read)?;
        read.push((key, admitted_of(value, &place)?));
    }
    Ok(read)
}

fn admitted_of(value: Json, place: &str) -> Result<Admitted, String> {
    let Json::Object(members) = value else { return Err(format!("{place} is no object")) };
    let [name, scopes] = members_of(members, ["name", "scopes"], place)?;
    let name = match name {
        Some(Json::Text(name)) if is_printable(&name) => name,
        _ => return Err(format!("the name of {place} is no text of 1 to 64 printable characters")),
    };
    let scopes = match scopes {
        Some(Json::Array(scopes)) if !scopes.is_empty() => scopes,
        _ => return Err(format!("the scopes of {place} are no array that has some")),
    };
    let read = |(at, scope)| match scope {
        Json::Text(name) => Scope::named(&name).ok_or(at),
        _ => Err(at),
    };
    let scopes: Result<Scopes, usize> = scopes.into_iter().enumerate().map(read).collect();
    let scopes = scopes.map_err(|at| {
        let known = Scope::ALL.map(Scope::as_str).join(", ");
        format!("scope {} of {place} is none of {known}", at + 1)
    })?;
    Ok(Admitted::new(&name, scopes))
}

fn is_printable(name: &str) -> bool {
    !name.trim().is_empty() && name.chars().count() <= 64 && !name.contains(char::is_control)
}

/// The members of these names, each there once at most, and no others. Others are told by their place: what stands there may be a
/// secret that was put into the wrong line.
fn members_of<const N: usize>(
    members: Vec<(String, Json)>,
    names: [&str; N],
    place: &str,
) -> Result<[Option<Json>; N], String> {
    let mut found = [const { None }; N];
    for (at, (name, value)) in members.into_iter().enumerate() {
        let known = names.iter().zip(&mut found).find(|(known, _)| **known == name);
        match known {
            None => return Err(format!("member {} of {place} is none of {}", at + 1, names.join(", "))),
            Some((name, Some(_))) => return Err(format!("{name} of {place} is there twice")),
            Some((_, empty)) => *empty = Some(value),
        }
    }
    Ok(found)
}

/// JSON with all members of objects, those of the same name too.
enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Text(String),
    Other,
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Json::Object(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_repeats_no_hash() {
        let good = r#"{"name":"p","scopes":["metrics"]}"#;
        let upper = HASH.to_uppercase();
        for (text, says) in [
            (String::new(), "it is no JSON"),
            (format!(r#"{{"tokens":{{"{HASH}":{good}}}"#), "it is no JSON"),
            ("[]".to_owned(), "it is no JSON object"),
            (format!(r#"{{"tokens":{{}},"{HASH}":{good}}}"#), "member 2 of the file is none of tokens, subjects"),
            (r#"{"tokens":{},"tokens":{}}"#.to_owned(), "tokens of the file is there twice"),
            (r#"{"tokens":[]}"#.to_owned(), "tokens is no object"),
            (
                format!(r#"{{"tokens":{{"{HASH}":{good},"{upper}":{good}}}}}"#),
                "entry 2 of tokens stands under the same hash as entry 1",
            ),
            (format!(r#"{{"tokens":{{"{HASH}0":{good}}}}}"#), "entry 1 of tokens does not stand under a SHA-256 hash"),
            (format!(r#"{{"tokens":{{"{HASH}":"p"}}}}"#), "entry 1 of tokens is no object"),
            (format!(r#"{{"tokens":{{"{HASH}":{{"name":"p"}}}}}}"#), "the scopes of entry 1 of tokens"),
            (format!(r#"{{"tokens":{{"{HASH}":{{"name":"p","scopes":[]}}}}}}"#), "the scopes of entry 1 of tokens"),
            (
                format!(r#"{{"tokens":{{"{HASH}":{{"name":"p","scopes":["metrics","root"]}}}}}}"#),
                "scope 2 of entry 1 of tokens is none of metrics, follow, fence, read, write, admin",
            ),
            (
                format!(r#"{{"tokens":{{"{HASH}":{{"name":"p\n","scopes":["read"]}}}}}}"#),
                "the name of entry 1 of tokens",
            ),
            (format!(r#"{{"tokens":{{"{HASH}":{{"scopes":["read"]}}}}}}"#), "the name of entry 1 of tokens"),
            (
                format!(r#"{{"tokens":{{"{HASH}":{{"name":"p","scopes":["read"],"{HASH}":1}}}}}}"#),
                "member 3 of entry 1 of tokens is none of name, scopes",
            ),
            (
                format!(r#"{{"subjects":{{"(":{good}}}}}"#),
                "entry 1 of subjects: the certificate subject pattern cannot be read",
            ),
            (format!(r#"{{"subjects":{{".*":{good}}}}}"#), "admits everybody"),
            (
                format!(r#"{{"subjects":{{"CN=a":{good},"CN=a":{good}}}}}"#),
                "entry 2 of subjects stands under the same pattern as entry 1",
            ),
        ] {
            let error = TokensFile::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.to_lowercase().contains(&HASH[..16]), "{error}");
        }
    }

    #[test]
    fn of_subjects_the_first_that_matches_counts() {
        let text = r#"{"subjects":{"CN=a":{"name":"first","scopes":["read"]},"CN=[ab]":{"name":"second","scopes":["admin"]}}}"#;
        let file = TokensFile::parse(text.as_bytes()).unwrap();
        let name = |subject: &str| file.holder_of(subject).map(|admitted| admitted.name.to_string());
        assert_eq!(name("CN=a,O=x").as_deref(), Some("first"));
        assert_eq!(name("CN=b").as_deref(), Some("second"));
        assert_eq!(name("CN=c"), None);
    }
}
