//! Version chains: what a slot held, newest first, each version stamped with the log index that wrote it.
//! Written by one thread (under the commit lock), read by any without waiting. Nothing is ever removed: a delta
//! lives only until its checkpoint, and goes as a whole.

use std::sync::atomic::{AtomicU32, Ordering};

/// One value since log index `version`.
#[derive(Debug)]
pub struct Version<T> {
    version: u64,
    older: u32,
    value: T,
}

/// Where versions lie.
pub type Arena<T> = boxcar::Vec<Version<T>>;

/// The newest version of something, if it has one.
#[derive(Debug, Default)]
pub struct Head(AtomicU32);

impl Head {
    /// The value as of log index `at`.
    #[inline]
    pub fn at<'a, T>(&self, arena: &'a Arena<T>, at: u64) -> Option<&'a T> {
        let mut next = self.0.load(Ordering::Acquire);
        while next != 0 {
            let version = arena.get(next as usize - 1)?;
            if version.version <= at {
                return Some(&version.value);
            }
            next = version.older;
        }
        None
    }

    /// The newest value and the log index that wrote it.
    #[inline]
    pub fn newest<'a, T>(&self, arena: &'a Arena<T>) -> Option<(u64, &'a T)> {
        let next = self.0.load(Ordering::Acquire);
        let version = arena.get((next as usize).checked_sub(1)?)?;
        Some((version.version, &version.value))
    }

    /// The oldest value.
    pub fn oldest<'a, T>(&self, arena: &'a Arena<T>) -> Option<&'a T> {
        let mut next = self.0.load(Ordering::Acquire);
        let mut value = None;
        while next != 0 {
            let version = arena.get(next as usize - 1)?;
            value = Some(&version.value);
            next = version.older;
        }
        value
    }

    /// Adds a version. Only under the commit lock.
    pub fn push<T>(&self, arena: &Arena<T>, version: u64, value: T) {
        let older = self.0.load(Ordering::Relaxed);
        let at = arena.push(Version { version, older, value });
        self.0.store(at as u32 + 1, Ordering::Release);
    }
}

/// A version chain whose first version lies in the slot itself: most have no other.
#[derive(Debug)]
pub struct Cell<T> {
    version: u64,
    later: Head,
    value: T,
}

impl<T> Cell<T> {
    /// A chain that begins with `value` at log index `version`.
    pub fn new(version: u64, value: T) -> Self {
        Self { version, later: Head::default(), value }
    }

    /// The value as of log index `at`.
    #[inline]
    pub fn at<'a>(&'a self, arena: &'a Arena<T>, at: u64) -> Option<&'a T> {
        if let Some(later) = self.later.at(arena, at) {
            return Some(later);
        }
        (self.version <= at).then_some(&self.value)
    }

    /// The log index of the newest version.
    #[inline]
    pub fn newest_version(&self, arena: &Arena<T>) -> u64 {
        self.later.newest(arena).map_or(self.version, |(version, _)| version)
    }

    /// The first value.
    pub fn first(&self) -> &T {
        &self.value
    }

    /// Adds a version. Only under the commit lock.
    pub fn push(&self, arena: &Arena<T>, version: u64, value: T) {
        self.later.push(arena, version, value);
    }
}
