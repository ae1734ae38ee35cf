//! What a query says, as the contract reads it: what cannot be read is as good as not there, and numbers are brought within bounds.

use axum::http::Uri;
use std::{borrow::Cow, time::Duration};

/// The parameters of a query. Of one that is there twice, the first counts.
#[derive(Debug)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub fn of(uri: &'a Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect())
    }

    /// A text that is not blank.
    pub fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// A number, rounded down and brought within 1 and `most`.
    pub fn count(&self, name: &str, default: usize, most: usize) -> usize {
        let number = self.text(name).and_then(|text| text.parse::<f64>().ok()).filter(|number| !number.is_nan());
        number.map_or(default, |number| bounded(number, most))
    }

    /// A time in ms, of at most so many; 0 where none is given, or it cannot be read.
    pub fn wait(&self, name: &str, most: u64) -> Duration {
        let ms = self.text(name).and_then(|text| text.parse::<f64>().ok()).filter(|ms| *ms > 0.0);
        Duration::from_millis(ms.map_or(0, |ms| ms as u64).min(most))
    }

    /// `1`, `true`, `yes`; `0`, `false`, `no`; in any case.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            Some("1" | "true" | "yes") => true,
            Some("0" | "false" | "no") => false,
            _ => default,
        }
    }
}

/// The whole number within 1 and `most` that comes nearest from below.
pub(crate) fn bounded(number: f64, most: usize) -> usize {
    // What is beyond an integer's range ends at its ends.
    (number.floor() as usize).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_the_default_and_numbers_are_bounded() {
        let count = |text: &str| {
            let uri: Uri = format!("/log?maxFrames={text}&maxFrames=7").parse().unwrap();
            Query::of(&uri).count("maxFrames", 256, 10_000)
        };
        for (text, expected) in [
            ("", 256),
            ("x", 256),
            ("NaN", 256),
            ("0", 1),
            ("-10", 1),
            ("2.9", 2),
            ("1e3", 1000),
            ("99999999999999999999", 10_000),
            ("Infinity", 10_000),
            ("%203%20", 3),
        ] {
            assert_eq!(count(text), expected, "{text}");
        }
        let flag = |text: &str, default| Query::of(&format!("/?f={text}").parse().unwrap()).flag("f", default);
        assert!(flag("YES", false) && flag("1", false) && flag("maybe", true) && !flag("No", true) && !flag("", false));
    }
}
