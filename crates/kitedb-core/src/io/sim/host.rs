//! A simulated process on a simulated machine: time that only tests move, and seeded chance.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering},
};

use crate::lock::Mutex;

use super::{Crash, rng::Rng};
use crate::{io::Host, level::FEATURE_LEVEL};

/// 2023-11-14, so that times look like times.
const START_MS: u64 = 1_700_000_000_000;

/// A host whose clock moves by hand. A clone is another handle to the same process.
#[derive(Debug, Clone)]
pub struct SimHost {
    clock: Arc<Clock>,
    process: Arc<Process>,
}

/// What all processes that descend from one host share.
#[derive(Debug)]
struct Clock {
    now_ms: AtomicU64,
    passed_ms: AtomicU64,
    processes: AtomicU32,
}

#[derive(Debug)]
struct Process {
    id: u32,
    boot_id: [u8; 16],
    rng: Mutex<Rng>,
    forked: AtomicBool,
    /// See [`SimHost::set_feature_level`].
    level: AtomicU16,
}

impl SimHost {
    /// The first process on a machine of its own.
    pub fn new(seed: u64) -> Self {
        let clock =
            Clock { now_ms: AtomicU64::new(START_MS), passed_ms: AtomicU64::new(0), processes: AtomicU32::new(1000) };
        let mut rng = Rng::new(seed);
        let boot_id = bytes(&mut rng);
        Self::start(Arc::new(clock), boot_id, rng)
    }

    /// Lets time pass, for every process that shares this clock.
    pub fn advance_ms(&self, ms: u64) {
        self.clock.now_ms.fetch_add(ms, Ordering::Relaxed);
        self.clock.passed_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the time of day (which may go back); [`Host::monotonic_ns`] does not notice.
    pub fn set_now_ms(&self, ms: u64) {
        self.clock.now_ms.store(ms, Ordering::Relaxed);
    }

    /// Makes this process look like a forked child of the one that made the host.
    pub fn set_forked(&self, forked: bool) {
        self.process.forked.store(forked, Ordering::Relaxed);
    }

    /// Makes this process one of a build that knows `level`, and writes nothing that needs less.
    pub fn set_feature_level(&self, level: u16) {
        self.process.level.store(level, Ordering::Relaxed);
    }

    /// Another process on the same machine, with the same clock.
    #[must_use]
    pub fn process(&self) -> Self {
        let rng = self.process.rng.lock().split();
        Self::start(Arc::clone(&self.clock), self.process.boot_id, rng)
    }

    /// Another machine, with the same clock.
    #[must_use]
    pub fn machine(&self) -> Self {
        let mut rng = self.process.rng.lock().split();
        let boot_id = bytes(&mut rng);
        Self::start(Arc::clone(&self.clock), boot_id, rng)
    }

    /// The process that starts after a crash: after a power loss, in another boot of the machine.
    #[must_use]
    pub fn restart(&self, crash: Crash) -> Self {
        match crash {
            Crash::Kill => self.process(),
            Crash::PowerLoss(_) => self.machine(),
        }
    }

    fn start(clock: Arc<Clock>, boot_id: [u8; 16], rng: Rng) -> Self {
        let id = clock.processes.fetch_add(1, Ordering::Relaxed);
        let (rng, forked, level) = (Mutex::new(rng), AtomicBool::new(false), AtomicU16::new(FEATURE_LEVEL));
        Self { clock, process: Arc::new(Process { id, boot_id, rng, forked, level }) }
    }
}

impl Host for SimHost {
    fn now_ms(&self) -> u64 {
        self.clock.now_ms.load(Ordering::Relaxed)
    }

    fn monotonic_ns(&self) -> u64 {
        self.clock.passed_ms.load(Ordering::Relaxed) * 1_000_000
    }

    fn random(&self) -> [u8; 16] {
        bytes(&mut self.process.rng.lock())
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        Some(self.process.boot_id)
    }

    fn process_id(&self) -> u32 {
        self.process.id
    }

    fn forked(&self) -> bool {
        self.process.forked.load(Ordering::Relaxed)
    }

    fn known_level(&self) -> u16 {
        self.process.level.load(Ordering::Relaxed)
    }

    fn written_level(&self) -> u16 {
        self.known_level()
    }
}

fn bytes(rng: &mut Rng) -> [u8; 16] {
    (u128::from(rng.next()) << 64 | u128::from(rng.next())).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::Loss;

    #[test]
    fn time_moves_by_hand_and_for_all_processes() {
        let host = SimHost::new(1);
        let other = host.machine();
        let before = (host.now_ms(), host.monotonic_ns());
        other.advance_ms(5);
        assert_eq!((host.now_ms(), host.monotonic_ns()), (before.0 + 5, before.1 + 5_000_000));
        host.set_now_ms(3);
        assert_eq!((host.now_ms(), host.monotonic_ns()), (3, before.1 + 5_000_000));
    }

    #[test]
    fn chance_follows_from_the_seed() {
        let (a, b) = (SimHost::new(1), SimHost::new(1));
        assert_eq!(a.random(), b.random());
        assert_ne!(a.random(), a.random());
        assert_ne!(a.process().random(), a.process().random());
    }

    #[test]
    fn only_a_power_loss_changes_the_boot() {
        let host = SimHost::new(1);
        let killed = host.restart(Crash::Kill);
        assert_eq!(killed.boot_id(), host.boot_id());
        assert_ne!(killed.process_id(), host.process_id());
        assert_ne!(host.restart(Crash::PowerLoss(Loss::Random)).boot_id(), host.boot_id());
    }

    #[test]
    fn a_process_can_be_made_a_fork() {
        let host = SimHost::new(1);
        assert!(!host.forked());
        host.set_forked(true);
        assert!(host.forked() && host.clone().forked() && !host.process().forked());
    }
}
