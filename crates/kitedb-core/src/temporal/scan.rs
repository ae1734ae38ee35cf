//! Reading text from left to right.

use crate::error::{Error, Result};

/// What is left of a text, and what it was to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'a> {
    whole: &'a str,
    rest: &'a str,
    /// What is read, and how it is written.
    noun: &'static str,
    form: &'static str,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str, noun: &'static str, form: &'static str) -> Self {
        Self { whole: text, rest: text, noun, form }
    }

    /// The error that says what was expected.
    #[cold]
    pub fn bad(&self) -> Error {
        let Self { whole, noun, form, .. } = self;
        Error::invalid(format_args!("`{whole:.80}` is no {noun}: write it as {form}"))
    }

    /// An error of a number in it.
    #[cold]
    pub fn because(&self, error: &Error) -> Error {
        let Self { whole, noun, .. } = self;
        Error::invalid(format_args!("`{whole:.80}` is no {noun}: {error}"))
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn peek(&self) -> Option<u8> {
        self.rest.bytes().next()
    }

    /// Takes one of these characters, if it comes next.
    pub fn take(&mut self, any: &[u8]) -> Option<u8> {
        let next = self.peek().filter(|next| any.contains(next))?;
        // What is taken is ASCII.
        self.rest = &self.rest[1..];
        Some(next)
    }

    pub fn expect(&mut self, one: u8) -> Result<()> {
        self.take(&[one]).map(drop).ok_or_else(|| self.bad())
    }

    /// The digits that come next.
    pub fn digits(&mut self) -> &'a str {
        let end = self.rest.bytes().position(|c| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        digits
    }

    /// A number of exactly so many digits.
    pub fn number(&mut self, width: usize) -> Result<u32> {
        let (digits, rest) = self.rest.split_at_checked(width).ok_or_else(|| self.bad())?;
        if !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(self.bad());
        }
        self.rest = rest;
        digits.parse().map_err(|_| self.bad())
    }

    /// The nanoseconds of a fraction, if one comes next. More digits than nine would be lost, and are refused.
    pub fn fraction(&mut self) -> Result<u32> {
        if self.take(b".,").is_none() {
            return Ok(0);
        }
        let digits = self.digits();
        if digits.is_empty() || digits.len() > 9 {
            return Err(self.bad());
        }
        let value: u32 = digits.parse().map_err(|_| self.bad())?;
        Ok(value * 10u32.pow(9 - digits.len() as u32))
    }

    /// What stands between brackets, if they come next and end the text.
    pub fn bracketed(&mut self) -> Result<Option<&'a str>> {
        if self.take(b"[").is_none() {
            return Ok(None);
        }
        let name = self.rest.strip_suffix(']').filter(|name| !name.is_empty()).ok_or_else(|| self.bad())?;
        self.rest = "";
        Ok(Some(name))
    }

    pub fn end<T>(self, value: T) -> Result<T> {
        if self.is_empty() { Ok(value) } else { Err(self.bad()) }
    }
}
