//! The machine itself: its file systems, byte locks, clocks and chance.

mod disk;
mod host;
mod lock;

pub use disk::RealDisk;
pub use host::SystemHost;
