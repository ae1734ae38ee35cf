//! How a language spells what Rust says.

use crate::options;

/// How a language spells names, and what it calls the kinds of values that options take.
#[derive(Debug, Clone, Copy)]
pub struct Accent {
    /// A name of Rust as that language has it.
    pub name: fn(&str) -> String,
    /// What a yes or no is called.
    pub boolean: &'static str,
    /// A whole number that is not negative.
    pub whole: &'static str,
    /// Any number.
    pub number: &'static str,
    /// A text.
    pub text: &'static str,
    /// A place in the file system.
    pub path: &'static str,
    /// Texts by names.
    pub texts: &'static str,
}

/// `head_log_index` as `headLogIndex`.
pub fn camel_case(snake: &str) -> String {
    let mut name = String::with_capacity(snake.len());
    for (nth, word) in snake.split('_').enumerate() {
        let mut letters = word.chars();
        match letters.next() {
            Some(first) if nth > 0 => name.push(first.to_ascii_uppercase()),
            Some(first) => name.push(first),
            None => {}
        }
        name.push_str(letters.as_str());
    }
    name
}

impl Accent {
    /// A text about options and arguments, with their names as the language spells them. What stands in quotation marks is the
    /// caller's own word, and stays.
    pub fn respelled(&self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
            let (word, others) = rest.split_at(len);
            if options::is_name(word) {
                out.push_str(&(self.name)(word));
            } else {
                out.push_str(word);
            }
            let quoted = others.strip_prefix(" '").and_then(|quoted| quoted.find('\'')).map(|end| end + 3);
            let next = quoted.or_else(|| others.find(is_part)).unwrap_or(others.len());
            let (between, others) = others.split_at(next);
            out.push_str(between);
            rest = others;
        }
        out.replace("must be > 0", "must be positive")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMEL: Accent = Accent {
        name: camel_case,
        boolean: "true or false",
        whole: "a whole number",
        number: "a number",
        text: "a string",
        path: "a string",
        texts: "an object of strings",
    };

    #[test]
    fn names_are_respelled_and_words_of_the_caller_are_not() {
        for (said, respelled) in [
            ("fence_wait_ms must be > 0", "fenceWaitMs must be positive"),
            (
                "there is no option 'read_only': give read_only, max_runs",
                "there is no option 'read_only': give readOnly, maxRuns",
            ),
            ("there is no sync_mode 'it's': give full", "there is no syncMode 'it's': give full"),
            ("max_frames", "maxFrames"),
            ("of no_option, '", "of no_option, '"),
            ("é max_bytes é", "é maxBytes é"),
            ("", ""),
        ] {
            assert_eq!(CAMEL.respelled(said), respelled);
        }
    }
}
