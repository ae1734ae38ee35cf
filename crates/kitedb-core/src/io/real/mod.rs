//! The machine itself: its file systems, byte locks, clocks and chance.

mod access;
mod anchored;
mod disk;
mod host;
mod in_place;
mod lock;
mod stamp;

pub use disk::RealDisk;
pub use host::SystemHost;

#[cfg(test)]
mod tests;
