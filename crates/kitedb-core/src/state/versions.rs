//! Version chains: what a slot held, newest first, each version stamped with the log index that wrote it.
//! Written by one thread (under the commit lock), read by any without waiting. Nothing is ever removed: a delta
//! lives only until its checkpoint, and goes as a whole.

use std::sync::atomic::{AtomicU64, Ordering};

/// One value since log index `version`.
#[derive(Debug)]
pub struct Version<T> {
    version: u64,
    older: u32,
    value: T,
}

/// Where versions lie.
pub type Arena<T> = boxcar::Vec<Version<T>>;

/// The word that leads to the newest version of something: its number in the arena plus one; 0 = there is none.
#[derive(Debug, Clone, Copy)]
pub struct Head<'h>(pub &'h AtomicU64);

impl Head<'_> {
    /// The value as of log index `at`.
    #[inline]
    pub fn at<T>(self, arena: &Arena<T>, at: u64) -> Option<&T> {
        let mut next = self.0.load(Ordering::Acquire);
        while next != 0 {
            let version = arena.get(next as usize - 1)?;
            if version.version <= at {
                return Some(&version.value);
            }
            next = version.older.into();
        }
        None
    }

    /// Whether there is no version.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    /// The newest value and the log index that wrote it.
    #[inline]
    pub fn newest<T>(self, arena: &Arena<T>) -> Option<(u64, &T)> {
        let next = self.0.load(Ordering::Acquire);
        let version = arena.get((next as usize).checked_sub(1)?)?;
        Some((version.version, &version.value))
    }

    /// Whether a value that was written after log index `at` is such a one.
    pub fn any_after<T>(self, arena: &Arena<T>, at: u64, is: impl Fn(&T) -> bool) -> bool {
        let mut next = self.0.load(Ordering::Acquire);
        while let Some(version) = (next as usize).checked_sub(1).and_then(|i| arena.get(i)) {
            if version.version <= at {
                return false;
            }
            if is(&version.value) {
                return true;
            }
            next = version.older.into();
        }
        false
    }

    /// The oldest value.
    pub fn oldest<T>(self, arena: &Arena<T>) -> Option<&T> {
        let mut next = self.0.load(Ordering::Acquire);
        let mut value = None;
        while next != 0 {
            let version = arena.get(next as usize - 1)?;
            value = Some(&version.value);
            next = version.older.into();
        }
        value
    }

    /// Adds a version, and returns its number plus one. Only under the commit lock.
    pub fn push<T>(self, arena: &Arena<T>, version: u64, value: T) -> u32 {
        let older = self.0.load(Ordering::Relaxed) as u32;
        let number = arena.push(Version { version, older, value }) as u32 + 1;
        self.0.store(number.into(), Ordering::Release);
        number
    }
}

/// The value of the version with a number, as [`Head::push`] returned it.
pub fn numbered<T>(arena: &Arena<T>, number: u32) -> Option<&T> {
    arena.get((number as usize).checked_sub(1)?).map(|version| &version.value)
}

/// A version chain whose first version lies in the slot itself: most have no other.
#[derive(Debug)]
pub struct Cell<T> {
    version: u64,
    later: AtomicU64,
    value: T,
}

impl<T> Cell<T> {
    /// A chain that begins with `value` at log index `version`.
    pub fn new(version: u64, value: T) -> Self {
        Self { version, later: AtomicU64::new(0), value }
    }

    /// The value as of log index `at`.
    #[inline]
    pub fn at<'a>(&'a self, arena: &'a Arena<T>, at: u64) -> Option<&'a T> {
        if let Some(later) = Head(&self.later).at(arena, at) {
            return Some(later);
        }
        (self.version <= at).then_some(&self.value)
    }

    /// The log index of the newest version.
    #[inline]
    pub fn newest_version(&self, arena: &Arena<T>) -> u64 {
        Head(&self.later).newest(arena).map_or(self.version, |(version, _)| version)
    }

    /// Adds a version. Only under the commit lock.
    pub fn push(&self, arena: &Arena<T>, version: u64, value: T) {
        Head(&self.later).push(arena, version, value);
    }
}
