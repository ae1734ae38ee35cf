//! The names that were told to the JavaScript side.

use rustc_hash::FxHashMap;

/// So many names get a number; the others stand as text each time.
const MOST: usize = 1 << 16;
/// So many lists of names do, each of at most so many.
const MOST_LISTS: usize = 1 << 12;
const LONGEST_LIST: usize = 1 << 8;

/// Names by the numbers under which the JavaScript side has them as strings. Making a string costs more than reading a
/// property, and the names of a graph are few; so are the lists in which they stand together, by which that side knows what an
/// object looks like before it makes it.
#[derive(Debug, Default)]
pub struct Symbols {
    numbers: FxHashMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    list_numbers: FxHashMap<Box<[u32]>, u32>,
    lists: Vec<Box<[u32]>>,
    /// Of each kind the list that came last: the next one is probably the same.
    last: [u32; 2],
    /// Kept from list to list.
    spare: Vec<u32>,
}

/// What a list is of.
#[derive(Debug, Clone, Copy)]
pub enum Of {
    Labels,
    Props,
}

/// A list of names that is being written.
#[derive(Debug)]
pub struct Listed {
    of: Of,
    numbers: Vec<u32>,
    /// The list that it is perhaps.
    guess: u32,
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

    /// Begins a list.
    pub fn begin_list(&mut self, of: Of) -> Listed {
        let mut numbers = std::mem::take(&mut self.spare);
        numbers.clear();
        Listed { of, numbers, guess: self.last[of as usize] }
    }

    /// Adds a name to a list. False: it gets no number, and neither does the list.
    pub fn add(&mut self, list: &mut Listed, name: &str) -> bool {
        // Comparing with what it probably is costs less than looking it up.
        let guessed = self.lists.get(list.guess as usize).and_then(|guess| guess.get(list.numbers.len())).copied();
        let number = match guessed {
            Some(number) if self.name(number) == Some(name) => Some(number),
            _ => self.number(name).map(|(number, _)| number),
        };
        if let Some(number) = number.filter(|_| list.numbers.len() < LONGEST_LIST) {
            list.numbers.push(number);
            return true;
        }
        false
    }

    /// The number of a list whose names were all added. `None`: it gets none.
    pub fn end_list(&mut self, list: Listed) -> Option<u32> {
        let Listed { of, numbers, guess } = list;
        let known = match self.lists.get(guess as usize) {
            Some(guessed) if **guessed == *numbers => Some(guess),
            _ => self.list_numbers.get(&*numbers).copied(),
        };
        let number = known.or_else(|| self.add_list(&numbers));
        self.spare = numbers;
        if let Some(number) = number {
            self.last[of as usize] = number;
        }
        number
    }

    fn add_list(&mut self, numbers: &[u32]) -> Option<u32> {
        if self.lists.len() == MOST_LISTS {
            return None;
        }
        let number = self.lists.len() as u32;
        self.list_numbers.insert(numbers.into(), number);
        self.lists.push(numbers.into());
        Some(number)
    }

    /// The names of a list.
    pub fn list(&self, number: u32) -> Option<Vec<&str>> {
        self.lists.get(number as usize)?.iter().map(|name| self.name(*name)).collect()
    }
}
