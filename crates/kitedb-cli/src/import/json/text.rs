//! The text of JSON, line by line: names, strings, numbers and the signs between them.

use super::Fault;
use crate::import::{MAX_JSON_LINE, too_long};
use kitedb_core::graph::MAX_VALUE_BYTES;
use std::io::{self, BufRead};

/// No string is longer: the greatest value of bytes, in base64.
const MAX_STRING: usize = MAX_VALUE_BYTES / 3 * 4 + 4;

/// So many characters of a number are read; of which no float has more that count.
const MAX_NUMBER: usize = 1100;

/// What has no parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
}

/// The bytes of an input, a line at a time.
pub struct Text<R> {
    reader: R,
    /// The number of the line, from 1.
    line: u64,
    /// How many bytes of it are read.
    read: u64,
    /// How many bytes the values of the line take in storage, at least: see [`super::value`].
    pub(super) stored: usize,
}

impl<R: BufRead> Text<R> {
    pub fn new(reader: R) -> Self {
        Self { reader, line: 0, read: 0, stored: 0 }
    }

    /// The number of the line that is read.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Goes on to the next line, whatever of this one is not read. Returns whether there is one.
    pub fn next_line(&mut self) -> Result<bool, io::Error> {
        if self.line > 0 {
            self.reader.skip_until(b'\n')?;
        }
        (self.line, self.read, self.stored) = (self.line + 1, 0, 0);
        Ok(!self.is_at_end()?)
    }

    /// Whether nothing is left of the input.
    pub fn is_at_end(&mut self) -> Result<bool, io::Error> {
        Ok(self.reader.fill_buf()?.is_empty())
    }

    /// The next byte, unless the line ends.
    #[inline]
    fn peek(&mut self) -> Result<Option<u8>, Fault> {
        Ok(self.reader.fill_buf()?.first().copied().filter(|byte| *byte != b'\n'))
    }

    #[inline]
    fn skip(&mut self, bytes: usize) -> Result<(), Fault> {
        self.reader.consume(bytes);
        self.read += bytes as u64;
        if self.read > MAX_JSON_LINE as u64 {
            return Err(Fault::Line(too_long(MAX_JSON_LINE)));
        }
        Ok(())
    }

    /// The next byte that is no blank, which is left where it is; none if the line ends.
    #[inline]
    pub fn token(&mut self) -> Result<Option<u8>, Fault> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\r') => self.skip(1)?,
                // A byte order mark.
                Some(0xEF) if self.line == 1 && self.read == 0 => {
                    for byte in [0xEF, 0xBB, 0xBF] {
                        self.exactly(byte)?;
                    }
                }
                token => return Ok(token),
            }
        }
    }

    /// As [`Text::token`], where the line must not end.
    #[inline]
    pub fn next_token(&mut self) -> Result<u8, Fault> {
        self.token()?.ok_or(Fault::Ends(self.read))
    }

    fn exactly(&mut self, byte: u8) -> Result<(), Fault> {
        match self.peek()? {
            Some(found) if found == byte => self.skip(1),
            Some(_) => Err(self.not_json(format_args!("expected `{}`", byte.escape_ascii()))),
            None => Err(Fault::Ends(self.read)),
        }
    }

    /// Reads that sign.
    #[inline]
    pub fn sign(&mut self, sign: u8) -> Result<(), Fault> {
        self.next_token()?;
        self.exactly(sign)
    }

    /// Reads `open`, then items, each with `item`, with commas between them, then `close`.
    pub fn list(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.sign(open)?;
        if self.next_token()? == close {
            return self.skip(1);
        }
        loop {
            item(self)?;
            match self.next_token()? {
                b',' => self.skip(1)?,
                byte if byte == close => return self.skip(1),
                _ => return Err(self.not_json(format_args!("expected `,` or `{}`", char::from(close)))),
            }
        }
    }

    /// Reads an object: `member` is called behind each name.
    pub fn object(&mut self, mut member: impl FnMut(&mut Self, String) -> Result<(), Fault>) -> Result<(), Fault> {
        self.list(b'{', b'}', |text| {
            if text.next_token()? != b'"' {
                return Err(text.not_json("expected a name in quotes"));
            }
            let name = text.string()?;
            text.sign(b':')?;
            member(text, name)
        })
    }

    /// Nothing but blanks may follow.
    pub fn end_line(&mut self) -> Result<(), Fault> {
        match self.token()? {
            None => Ok(()),
            Some(_) => Err(self.not_json("there is more behind the object")),
        }
    }

    /// Reads what has no parts; `None` is an array or an object, of which nothing is read.
    pub fn scalar(&mut self) -> Result<Option<Scalar>, Fault> {
        Ok(Some(match self.next_token()? {
            b'"' => Scalar::Text(self.string()?),
            b'n' => self.word("null").map(|()| Scalar::Null)?,
            b't' => self.word("true").map(|()| Scalar::Bool(true))?,
            b'f' => self.word("false").map(|()| Scalar::Bool(false))?,
            b'-' | b'0'..=b'9' => Scalar::Number(self.number()?),
            b'[' | b'{' => return Ok(None),
            _ => return Err(self.not_json("expected a value")),
        }))
    }

    fn word(&mut self, word: &str) -> Result<(), Fault> {
        word.bytes().try_for_each(|byte| self.exactly(byte))
    }

    /// Reads a number in the form that JSON gives it.
    fn number(&mut self) -> Result<String, Fault> {
        let mut number = String::new();
        self.take_if(&mut number, |byte| byte == b'-')?;
        match self.digits(&mut number)? {
            0 => return Err(self.no_number()),
            1 => {}
            _ if number.trim_start_matches('-').starts_with('0') => {
                return Err(self.not_json("a number does not begin with 0"));
            }
            _ => {}
        }
        if self.take_if(&mut number, |byte| byte == b'.')? && self.digits(&mut number)? == 0 {
            return Err(self.no_number());
        }
        if self.take_if(&mut number, |byte| matches!(byte, b'e' | b'E'))? {
            self.take_if(&mut number, |byte| matches!(byte, b'-' | b'+'))?;
            if self.digits(&mut number)? == 0 {
                return Err(self.no_number());
            }
        }
        Ok(number)
    }

    fn no_number(&mut self) -> Fault {
        match self.peek() {
            Ok(None) => Fault::Ends(self.read),
            _ => self.not_json("a number lacks a digit"),
        }
    }

    fn digits(&mut self, number: &mut String) -> Result<usize, Fault> {
        let mut count = 0;
        while self.take_if(number, |byte| byte.is_ascii_digit())? {
            count += 1;
            if number.len() > MAX_NUMBER {
                return Err(self.not_json(format_args!("a number of more than {MAX_NUMBER} digits")));
            }
        }
        Ok(count)
    }

    #[inline]
    fn take_if(&mut self, number: &mut String, wanted: impl Fn(u8) -> bool) -> Result<bool, Fault> {
        match self.peek()? {
            Some(byte) if wanted(byte) => {
                number.push(byte.into());
                self.skip(1)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Reads a string, its quotes included.
    pub fn string(&mut self) -> Result<String, Fault> {
        self.exactly(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let there = self.reader.fill_buf()?;
            let plain = there.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)).unwrap_or(there.len());
            if bytes.len() + plain > MAX_STRING {
                return Err(Fault::Line(format!("a text in it is {}", too_long(MAX_STRING))));
            }
            bytes.extend_from_slice(&there[..plain]);
            let stop = there.get(plain).copied();
            let is_over = there.is_empty();
            self.skip(plain)?;
            match stop {
                Some(b'"') => break self.skip(1)?,
                Some(b'\\') => self.escape(&mut bytes)?,
                Some(b'\n') => return Err(Fault::Ends(self.read)),
                Some(_) => return Err(self.not_json("a control character in a text, which is written as an escape")),
                None if is_over => return Err(Fault::Ends(self.read)),
                None => {}
            }
        }
        String::from_utf8(bytes).map_err(|_| Fault::Line("not UTF-8 text".to_owned()))
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), Fault> {
        self.skip(1)?;
        let escape = self.peek()?.ok_or(Fault::Ends(self.read))?;
        bytes.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.skip(1)?;
                let character = self.escaped_character()?;
                bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.not_json("an escape that there is not")),
        });
        self.skip(1)
    }

    fn escaped_character(&mut self) -> Result<char, Fault> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.half());
        }
        self.exactly(b'\\')?;
        self.exactly(b'u')?;
        let second = self.unit()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Err(self.half());
        }
        char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00)).ok_or_else(|| self.half())
    }

    fn half(&self) -> Fault {
        self.not_json("half of a surrogate pair")
    }

    /// Reads four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let byte = self.peek()?.ok_or(Fault::Ends(self.read))?;
            let digit = char::from(byte).to_digit(16).ok_or_else(|| self.not_json("expected a hexadecimal digit"))?;
            unit = unit << 4 | digit;
            self.skip(1)?;
        }
        Ok(unit)
    }

    /// The fault of a line that is not JSON from here on.
    pub fn not_json(&self, what: impl std::fmt::Display) -> Fault {
        Fault::Syntax(what.to_string(), self.read + 1)
    }
}
