//! Numbers as they are written, of every format. A number is taken as what it says, or refused: none becomes another one, or
//! one of another kind, in silence.

use kitedb_core::Value;
use std::fmt;

/// What a numeral stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    Integer(i64),
    Float(f64),
}

/// Why a text stands for no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNumber {
    /// It is none.
    Other,
    /// An integer beyond 64 bits.
    Wide,
    /// An integer that is written as -0.
    NegativeZero,
    /// A float beyond the greatest one.
    Large,
    /// A float that is nearer to 0 than the least one, and not 0.
    Small,
}

impl Number {
    /// Reads a numeral: digits with a sign or without are an integer; with a point or an exponent they are a float.
    pub fn read(text: &str) -> Result<Self, NoNumber> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse() {
                Ok(0) if text.starts_with('-') => Err(NoNumber::NegativeZero),
                Ok(integer) => Ok(Self::Integer(integer)),
                Err(_) => Err(NoNumber::Wide),
            };
        }
        // What parses besides are words: infinity and its kin.
        if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return Err(NoNumber::Other);
        }
        match text.parse::<f64>() {
            Ok(float) if !float.is_finite() => Err(NoNumber::Large),
            Ok(0.0) if digits_before_the_exponent(unsigned).any(|digit| digit != b'0') => Err(NoNumber::Small),
            Ok(float) => Ok(Self::Float(float)),
            Err(_) => Err(NoNumber::Other),
        }
    }
}

impl Number {
    /// The number that is printed as that text: of `1.10`, `007` or `1e3` there is none, because what is printed is another text.
    pub fn printed_as(text: &str) -> Option<Self> {
        // No number is printed longer: the least float of all has 24 characters.
        let number = Self::read(text).ok().filter(|_| text.len() <= 32)?;
        (number.to_string() == text).then_some(number)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(integer) => integer.fmt(f),
            Self::Float(float) => fmt::Debug::fmt(float, f),
        }
    }
}

fn digits_before_the_exponent(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit)
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(integer) => Self::I64(integer),
            Number::Float(float) => Self::F64(float),
        }
    }
}

impl NoNumber {
    /// The sentence about a numeral that is refused, behind what it is called and "is".
    pub fn of(self, text: &str) -> String {
        format!("{}{self}", Short(text))
    }
}

impl fmt::Display for NoNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other => ", which is not a number",
            Self::Wide => {
                ", which does not fit a signed 64-bit integer: write it as text, or with a point as the float that is next to it"
            }
            Self::NegativeZero => ", which no integer is: write 0, or -0.0 for the float",
            Self::Large => ", which is beyond every 64-bit float: write it as text",
            Self::Small => ", which is nearer to 0 than every 64-bit float but 0: write 0.0, or it as text",
        })
    }
}

/// A text that may be long, in a message.
struct Short<'a>(&'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(40) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}…", self.0.get(..end).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeral_is_taken_as_what_it_says_or_refused() {
        use NoNumber::*;
        use Number::*;
        for (text, want) in [
            ("0", Ok(Integer(0))),
            ("-7", Ok(Integer(-7))),
            ("+5", Ok(Integer(5))),
            ("9223372036854775807", Ok(Integer(i64::MAX))),
            ("-9223372036854775808", Ok(Integer(i64::MIN))),
            ("9223372036854775808", Err(Wide)),
            ("-9223372036854775809", Err(Wide)),
            ("18446744073709551616", Err(Wide)),
            ("-0", Err(NegativeZero)),
            ("1.5", Ok(Float(1.5))),
            ("-.5", Ok(Float(-0.5))),
            ("1e3", Ok(Float(1000.0))),
            ("9223372036854775808.0", Ok(Float(9_223_372_036_854_775_808.0))),
            ("0e5", Ok(Float(0.0))),
            ("0.000", Ok(Float(0.0))),
            ("5e-324", Ok(Float(5e-324))),
            ("1e400", Err(Large)),
            ("-1e400", Err(Large)),
            ("1e-400", Err(Small)),
            ("0.001e-400", Err(Small)),
            ("", Err(Other)),
            ("-", Err(Other)),
            ("nan", Err(Other)),
            ("-inf", Err(Other)),
            ("infinity", Err(Other)),
            ("1.2.3", Err(Other)),
            ("12 apples", Err(Other)),
        ] {
            assert_eq!(Number::read(text), want, "{text}");
        }
        // The sign of a zero is kept.
        assert!(matches!(Number::read("-0.0"), Ok(Float(zero)) if zero.is_sign_negative()));
    }
}
