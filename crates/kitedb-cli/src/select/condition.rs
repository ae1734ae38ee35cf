//! What `--where` asks of a node or an edge.
//!
//! | written | holds for |
//! |---|---|
//! | `age=36`, `age!=36`, `age<36`, `<=`, `>`, `>=` | what is there and of the same kind, and compares so |
//! | `name~'^A'`, `name!~'^A'` | a text in which the regular expression is found, or is not |
//! | `has age` | what has that property, be it null |
//! | `not age=36` | whatever the condition does not hold for, with what has no such property |
//!
//! A value is a word without blanks (an integer, a float or a boolean by the rule of CSV imports, else a text; `1.10` and `007`, which an
//! import keeps as text, are the number as well), or a text in single or double quotes. Values of different kinds never compare: neither `age=36` nor `age!=36` holds for the text `36`.

use super::{
    field::{Field, Of},
    literal::Literal,
    scanner::{Fault, Scanner},
};
use kitedb_core::{EdgeRef, NodeRef, Result, ValueRef};
use regex_automata::meta::Regex;
use std::cmp::Ordering;

#[derive(Debug, Clone)]
pub struct Condition {
    negated: bool,
    field: Field,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Has,
    Compares(Operator, Literal),
    Matches { regex: Regex, wanted: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Unequal => order.is_ne(),
            Self::Less => order.is_lt(),
            Self::AtMost => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::AtLeast => order.is_ge(),
        }
    }
}

/// Signs of which operators are made: none stands in a bare name.
const SIGNS: &[char] = &['=', '!', '<', '>', '~'];

const OPERATORS: &[(&str, Operator)] = &[
    ("==", Operator::Equal),
    ("=", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<>", Operator::Unequal),
    ("<=", Operator::AtMost),
    ("<", Operator::Less),
    (">=", Operator::AtLeast),
    (">", Operator::Greater),
];

impl Condition {
    pub fn parse(text: &str, of: Of) -> std::result::Result<Self, Fault> {
        let mut scanner = Scanner::new(text);
        let mut negated = false;
        while word(&mut scanner, "not") {
            negated = !negated;
        }
        if word(&mut scanner, "has") {
            let field = Field::read(&mut scanner, of, |c| !c.is_whitespace() && !SIGNS.contains(&c))?;
            require_end(&scanner)?;
            return Ok(Self { negated, field, test: Test::Has });
        }
        let field = Field::read(&mut scanner, of, |c| !SIGNS.contains(&c))?;
        let test = test(&mut scanner)?;
        Ok(Self { negated, field, test })
    }

    /// The property that it is about, if it is about one.
    pub fn property(&self) -> Option<&str> {
        self.field.property()
    }

    pub fn holds_for_node(&self, node: &NodeRef<'_>) -> Result<bool> {
        match &self.field {
            Field::Property(name) => Ok(self.holds(node.prop(name)?)),
            Field::Own(_) => Ok(self.holds(self.field.of_node(node)?.as_ref().and_then(as_ref))),
        }
    }

    pub fn holds_for_edge(&self, edge: &EdgeRef<'_>) -> Result<bool> {
        match &self.field {
            Field::Property(name) => Ok(self.holds(edge.prop(name)?)),
            Field::Own(_) => Ok(self.holds(self.field.of_edge(edge)?.as_ref().and_then(as_ref))),
        }
    }

    fn holds(&self, value: Option<ValueRef<'_>>) -> bool {
        let holds = value.is_some_and(|value| match &self.test {
            Test::Has => true,
            Test::Compares(operator, literal) => literal.order_of(value).is_some_and(|order| operator.holds(order)),
            Test::Matches { regex, wanted } => {
                matches!(value, ValueRef::String(text) if regex.is_match(text) == *wanted)
            }
        });
        holds != self.negated
    }
}

/// What an element is, is a text or a number.
fn as_ref(value: &kitedb_core::Value) -> Option<ValueRef<'_>> {
    match value {
        kitedb_core::Value::I64(number) => Some(ValueRef::I64(*number)),
        kitedb_core::Value::String(text) => Some(ValueRef::String(text)),
        _ => None,
    }
}

/// Reads `word` if it comes next as a word of the language: a property of that name has an operator behind it.
fn word(scanner: &mut Scanner<'_>, word: &str) -> bool {
    scanner.skip_blanks();
    let behind = scanner.rest().strip_prefix(word).filter(|rest| rest.starts_with(char::is_whitespace));
    let comes = behind.is_some_and(|rest| !rest.trim_start().starts_with(SIGNS) && !rest.trim_start().is_empty());
    if comes {
        scanner.take(word);
        scanner.skip_blanks();
    }
    comes
}

fn test(scanner: &mut Scanner<'_>) -> std::result::Result<Test, Fault> {
    if scanner.take("!~") {
        return Ok(Test::Matches { regex: regex(scanner)?, wanted: false });
    }
    if scanner.take("~") {
        return Ok(Test::Matches { regex: regex(scanner)?, wanted: true });
    }
    match OPERATORS.iter().find(|(sign, _)| scanner.take(sign)) {
        Some((_, operator)) => Ok(Test::Compares(*operator, value(scanner)?.literal())),
        None => Err(scanner.fault("one of = != < <= > >= ~ !~ is missing (or write `has NAME`)")),
    }
}

/// A value as it is written.
enum Written<'a> {
    Word(&'a str),
    Quoted(String),
}

impl Written<'_> {
    fn literal(&self) -> Literal {
        match self {
            Self::Word(word) => Literal::word(word),
            Self::Quoted(text) => Literal::text(text),
        }
    }
}

fn value<'a>(scanner: &mut Scanner<'a>) -> std::result::Result<Written<'a>, Fault> {
    scanner.skip_blanks();
    if scanner.rest().starts_with(SIGNS) {
        return Err(scanner.fault("there is no such operator: put a value that begins with such a sign into 'quotes'"));
    }
    let value = match scanner.quoted(&['\'', '"'])? {
        Some(text) => Written::Quoted(text),
        None => match scanner.take_while(|c| !c.is_whitespace()) {
            "" => return Err(scanner.fault("a value is missing: '' is the empty text")),
            word => Written::Word(word),
        },
    };
    scanner.skip_blanks();
    require_end(scanner)?;
    Ok(value)
}

fn require_end(scanner: &Scanner<'_>) -> std::result::Result<(), Fault> {
    match scanner.is_at_end() {
        true => Ok(()),
        false => Err(scanner.fault(
            "there is more behind the condition: put a text with blanks into 'quotes', and give a second condition by a second --where",
        )),
    }
}

fn regex(scanner: &mut Scanner<'_>) -> std::result::Result<Regex, Fault> {
    scanner.skip_blanks();
    let begin = scanner.place();
    let pattern = match value(scanner)? {
        Written::Word(word) => word.to_owned(),
        Written::Quoted(text) => text,
    };
    // Matching takes time in proportion to the text, whatever the expression; one that is too large is refused.
    Regex::new(&pattern).map_err(|e| {
        let why = e.syntax_error().map_or_else(|| e.to_string(), |syntax| first_line_of(&syntax.to_string()));
        scanner.fault_at(begin, format_args!("this is no regular expression: {why}"))
    })
}

/// The line of a message about syntax that says what is wrong, without the picture of where.
fn first_line_of(message: &str) -> String {
    let said = message.lines().rev().find_map(|line| line.strip_prefix("error: "));
    said.unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn holds(text: &str, value: Option<ValueRef<'_>>) -> bool {
        Condition::parse(text, Of::Node).unwrap().holds(value)
    }

    #[test]
    fn a_condition_holds_for_what_compares_so() {
        let (age, text, null) = (Some(ValueRef::I64(36)), Some(ValueRef::String("36")), Some(ValueRef::Null));
        for (condition, of_age, of_text, of_null, of_none) in [
            ("age=36", true, false, false, false),
            ("age==36.0", true, false, false, false),
            ("age='36'", false, true, false, false),
            ("age!=36", false, false, false, false),
            ("age <> 35", true, false, false, false),
            ("age<37", true, false, false, false),
            ("age <= 36", true, false, false, false),
            ("age>36", false, false, false, false),
            ("age>=36", true, false, false, false),
            ("age<'4'", false, true, false, false),
            ("not age=36", false, true, true, true),
            ("not not age=36", true, false, false, false),
            ("has age", true, true, true, false),
            ("not has age", false, false, false, true),
            ("age~3", false, true, false, false),
            ("age~'^6'", false, false, false, false),
            ("age!~'^6'", false, true, false, false),
        ] {
            let found = [age, text, null, None].map(|value| holds(condition, value));
            assert_eq!(found, [of_age, of_text, of_null, of_none], "{condition}");
        }
    }

    #[test]
    fn names_and_values_may_be_quoted_and_words_of_the_language_names() {
        for text in ["full name='Ada Lovelace'", "\"full name\" = \"Ada Lovelace\"", "`full name`='Ada Lovelace' "] {
            let condition = Condition::parse(text, Of::Node).unwrap();
            assert_eq!(condition.property(), Some("full name"), "{text}");
            assert!(condition.holds(Some(ValueRef::String("Ada Lovelace"))), "{text}");
        }
        assert!(holds("name='O''Hara'", Some(ValueRef::String("O'Hara"))));
        assert_eq!(Condition::parse("not = 1", Of::Node).unwrap().property(), Some("not"));
        assert_eq!(Condition::parse("has=1", Of::Node).unwrap().property(), Some("has"));
        assert_eq!(Condition::parse("notes=1", Of::Node).unwrap().property(), Some("notes"));
        assert_eq!(Condition::parse("key=a", Of::Node).unwrap().property(), None);
    }

    #[test]
    fn what_is_no_condition_is_told_by_its_place() {
        for (text, phrase) in [
            ("", "at character 1: a name is missing"),
            ("age", "at character 4: one of = !="),
            ("age>", "at character 5: a value is missing"),
            (">3", "at character 1: a name is missing"),
            ("age=>3", "at character 5: there is no such operator"),
            ("age!3", "at character 4: one of = !="),
            ("name='Ada", "at character 6: the ' that begins here is not closed"),
            ("name=Ada Lovelace", "at character 10: there is more behind"),
            ("age>30 and age<40", "at character 8: there is more behind"),
            ("has age>3", "at character 8: there is more behind"),
            ("naïve~'('", "at character 7: this is no regular expression: unclosed group"),
            ("name~'a{1000}{1000}{1000}'", "at character 6: this is no regular expression"),
        ] {
            let fault = Condition::parse(text, Of::Node).unwrap_err().to_string();
            assert!(fault.contains(phrase), "{text}: {fault}");
        }
    }

    /// Whatever is typed is a condition or is refused, and what it says is asked of any value.
    #[test]
    fn no_text_is_a_panic() {
        let parts = [
            "not ", "has", " ", "'", "\"", "`", "=", "!", "<", ">", "~", "é", "a", "7", "-", ".", "(", "[", "\\", "\0",
            "\u{202e}",
        ];
        let mut seed = 7_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as usize % below
        };
        let mut taken = 0;
        for _ in 0..20_000 {
            let text: String = (0..next(9)).map(|_| parts[next(parts.len())]).collect();
            for of in [Of::Node, Of::Edge] {
                if let Ok(condition) = Condition::parse(&text, of) {
                    taken += 1;
                    condition.holds(Some(ValueRef::String(&text)));
                }
            }
        }
        assert!(taken > 100, "{taken}");
    }
}
