//! A text of the command line, read from left to right.

use std::fmt;

/// Why a text means nothing, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The character, from 1.
    at: usize,
    what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at character {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Fault {}

pub struct Scanner<'a> {
    text: &'a str,
    /// How many bytes of it are read.
    read: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, read: 0 }
    }

    /// What is not read yet.
    pub fn rest(&self) -> &'a str {
        self.text.get(self.read..).unwrap_or_default()
    }

    pub fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub fn skip_blanks(&mut self) {
        self.read += self.rest().len() - self.rest().trim_start().len();
    }

    /// Reads `word` if it comes next.
    pub fn take(&mut self, word: &str) -> bool {
        let comes = self.rest().starts_with(word);
        self.read += if comes { word.len() } else { 0 };
        comes
    }

    /// Reads characters as long as they are wanted.
    pub fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
        self.read += end;
        rest.get(..end).unwrap_or_default()
    }

    /// Reads a text in quotes of one of these kinds, if one comes next. Within it the quote itself is written twice.
    pub fn quoted(&mut self, quotes: &[char]) -> Result<Option<String>, Fault> {
        let begin = self.read;
        let Some(quote) = self.rest().chars().next().filter(|c| quotes.contains(c)) else { return Ok(None) };
        let mut text = String::new();
        self.read += quote.len_utf8();
        loop {
            text += self.take_while(|c| c != quote);
            if self.is_at_end() {
                return Err(self.fault_at(begin, format_args!("the {quote} that begins here is not closed")));
            }
            self.read += quote.len_utf8();
            if !self.rest().starts_with(quote) {
                return Ok(Some(text));
            }
            self.read += quote.len_utf8();
            text.push(quote);
        }
    }

    /// What is wrong with what comes next.
    pub fn fault(&self, what: impl fmt::Display) -> Fault {
        self.fault_at(self.read, what)
    }

    /// What is wrong with the text from that byte on.
    pub fn fault_at(&self, read: usize, what: impl fmt::Display) -> Fault {
        let at = self.text.get(..read).unwrap_or(self.text).chars().count() + 1;
        Fault { at, what: what.to_string() }
    }

    /// How many bytes are read.
    pub fn place(&self) -> usize {
        self.read
    }
}
