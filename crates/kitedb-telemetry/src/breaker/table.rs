//! What this process knows of every breaker: all there is of one that is not shared, and what was known last of one
//! that is.

use super::BreakerState;
use parking_lot::Mutex;
use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc};

/// So many states are known at most; who was not asked for the longest time goes first.
const MAX_ENTRIES: usize = 1024;

/// Where a state is kept. What is kept in one place is nobody's business in another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Place {
    /// Here.
    Process,
    /// In a file.
    File(PathBuf),
    /// In an HTTP store. The URL may hold secrets; it is only compared.
    Http(String),
}

/// The URL stays out of it.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Http(_) => f.write_str("Http(..)"),
        }
    }
}

/// Which state: the place and the key.
pub type Address = Arc<(Place, String)>;

/// What is known of one breaker.
#[derive(Debug, Clone, Default)]
struct Known {
    state: BreakerState,
    /// Whether it has changes that the store never took.
    pending: bool,
    /// When it was asked for, by the table's own count.
    used: u64,
}

#[derive(Debug, Default)]
struct Entries {
    known: HashMap<Address, Known>,
    count: u64,
}

/// A table of states. A state that says no more than none is not in it.
#[derive(Debug, Default)]
pub struct Table(Mutex<Entries>);

impl Table {
    /// The state, and whether it has changes that the store never took.
    pub fn read(&self, address: &Address) -> (BreakerState, bool) {
        let known = self.0.lock().take(address);
        (known.state, known.pending)
    }

    /// Changes the state in one step. `kept_elsewhere`: this place is only the memory of a store that could not be
    /// asked, so a change waits to be told to it.
    pub fn apply(
        &self,
        address: &Address,
        change: &mut dyn FnMut(&mut BreakerState),
        kept_elsewhere: bool,
    ) -> BreakerState {
        let mut entries = self.0.lock();
        let mut known = entries.take(address);
        let before = known.state.clone();
        change(&mut known.state);
        known.pending |= kept_elsewhere && known.state != before;
        let state = known.state.clone();
        entries.put(address, known);
        state
    }

    /// Remembers what the store has (or, `pending`, should have).
    pub fn put(&self, address: &Address, state: BreakerState, pending: bool) {
        self.0.lock().put(address, Known { state, pending, used: 0 });
    }

    /// The other keys of that place with changes that the store never took, in the order of their names. `None` stands
    /// for a state that is to be removed.
    pub fn pending_beside(&self, address: &Address) -> Vec<(String, Option<BreakerState>)> {
        let entries = self.0.lock();
        let mut pending: Vec<_> = entries
            .known
            .iter()
            .filter(|(other, known)| known.pending && other.0 == address.0 && other.1 != address.1)
            .map(|(other, known)| {
                let state = (known.state != BreakerState::default()).then(|| known.state.clone());
                (other.1.clone(), state)
            })
            .collect();
        pending.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        pending
    }

    /// The store has taken these states. What changed since they were read waits on.
    pub fn taken(&self, place: &Place, taken: &[(String, Option<BreakerState>)]) {
        let mut entries = self.0.lock();
        for (key, state) in taken {
            let address = Arc::new((place.clone(), key.clone()));
            if let Some(known) = entries.known.get_mut(&address)
                && known.state == state.clone().unwrap_or_default()
            {
                known.pending = false;
                let known = known.clone();
                entries.put(&address, known);
            }
        }
    }
}

impl Entries {
    /// A copy of what is known, marked as used.
    fn take(&mut self, address: &Address) -> Known {
        self.count += 1;
        match self.known.get_mut(address) {
            Some(known) => {
                known.used = self.count;
                known.clone()
            }
            None => Known::default(),
        }
    }

    fn put(&mut self, address: &Address, known: Known) {
        if known.state == BreakerState::default() && !known.pending {
            self.known.remove(address);
            return;
        }
        if self.known.len() >= MAX_ENTRIES
            && !self.known.contains_key(address)
            && let Some(oldest) =
                self.known.iter().min_by_key(|(_, known)| known.used).map(|(oldest, _)| oldest.clone())
        {
            self.known.remove(&oldest);
        }
        self.count += 1;
        self.known.insert(address.clone(), Known { used: self.count, ..known });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(place: Place, key: &str) -> Address {
        Arc::new((place, key.to_owned()))
    }

    fn failed(count: u32) -> BreakerState {
        BreakerState { consecutive_failures: count, ..BreakerState::default() }
    }

    #[test]
    fn a_key_in_another_place_is_another_breaker() {
        let table = Table::default();
        let places = [Place::Process, Place::File("/a".into()), Place::File("/b".into()), Place::Http("x".into())];
        for (count, place) in places.iter().enumerate() {
            table.put(&address(place.clone(), "key"), failed(count as u32 + 1), false);
        }
        for (count, place) in places.into_iter().enumerate() {
            assert_eq!(table.read(&address(place, "key")).0, failed(count as u32 + 1));
        }
    }

    #[test]
    fn a_state_that_says_nothing_is_not_kept() {
        let table = Table::default();
        let address = address(Place::Process, "key");
        table.apply(&address, &mut |state| state.consecutive_failures = 1, false);
        assert_eq!(table.0.lock().known.len(), 1);
        table.apply(&address, &mut |state| state.consecutive_failures = 0, false);
        assert_eq!(table.0.lock().known.len(), 0);
    }

    #[test]
    fn the_longest_unused_state_goes_when_there_are_too_many() {
        let table = Table::default();
        let of = |number: usize| address(Place::Process, &number.to_string());
        for number in 0..MAX_ENTRIES {
            table.put(&of(number), failed(1), false);
        }
        table.read(&of(0));
        table.put(&of(MAX_ENTRIES), failed(1), false);
        assert_eq!(table.0.lock().known.len(), MAX_ENTRIES);
        assert_eq!(table.read(&of(0)).0, failed(1));
        assert_eq!(table.read(&of(1)).0, failed(0));
        assert_eq!(table.read(&of(MAX_ENTRIES)).0, failed(1));
    }

    #[test]
    fn what_a_store_did_not_take_waits_until_it_does() {
        let table = Table::default();
        let store = Place::Http("store".into());
        let of = |key: &str| address(store.clone(), key);
        for key in ["c", "a", "b"] {
            table.apply(&of(key), &mut |state| state.consecutive_failures = 1, true);
        }
        table.apply(&of("b"), &mut |state| state.consecutive_failures = 0, true);
        table.apply(&address(Place::Http("other".into()), "d"), &mut |state| state.generation = 1, true);
        table.put(&of("e"), failed(2), false);
        // Nothing changed: nothing waits.
        table.apply(&of("f"), &mut |_| (), true);

        let pending = table.pending_beside(&of("a"));
        assert_eq!(pending, [("b".to_owned(), None), ("c".to_owned(), Some(failed(1)))]);
        table.apply(&of("c"), &mut |state| state.consecutive_failures = 2, true);
        table.taken(&store, &pending);
        assert_eq!(table.pending_beside(&of("a")), [("c".to_owned(), Some(failed(2)))]);
        assert_eq!(table.read(&of("b")), (failed(0), false));
    }
}
