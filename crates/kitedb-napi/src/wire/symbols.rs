//! The names that were told to the JavaScript side.

use rustc_hash::FxHashMap;

/// So many names get a number; the others stand as text each time.
const MOST: usize = 1 << 16;

/// Names by the numbers under which the JavaScript side has them as strings. Making a string costs more than reading a
/// property, and the names of a graph are few.
#[derive(Debug, Default)]
pub struct Symbols {
    numbers: FxHashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
}

impl Symbols {
    /// The number of a name, and whether it is new. `None`: it gets none.
    pub fn number(&mut self, name: &str) -> Option<(u32, bool)> {
        if let Some(number) = self.numbers.get(name) {
            return Some((*number, false));
        }
        if self.names.len() == MOST {
            return None;
        }
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        Some((number, true))
    }

    /// The name with a number.
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number as usize).map(|name| &**name)
    }
}
