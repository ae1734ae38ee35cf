//! What must never be repeated, whoever says it: a collector may send a token back in what it refuses it with.

/// Too short to be a secret: hiding such a value would hide half of every text.
const SHORTEST: usize = 4;

/// The secrets of one push.
#[derive(Clone, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    pub fn new(values: impl IntoIterator<Item = String>) -> Self {
        let mut values: Vec<String> = values.into_iter().filter(|value| value.len() >= SHORTEST).collect();
        // The longest first: one may be a part of another one.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values)
    }

    /// `text` without any of them.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "(hidden)"))
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_remains_in_a_text() {
        let secrets = Secrets::new(["canary".to_owned(), "canary-and-more".to_owned(), "1".to_owned(), String::new()]);
        assert_eq!(secrets.hide("1 canary-and-more, 1 canary"), "1 (hidden), 1 (hidden)");
        assert!(!format!("{secrets:?}").contains("canary"));
    }
}
