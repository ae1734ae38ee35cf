//! Clocks, chance and the identity of this process, as the operating system gives them.
#![allow(unsafe_code)]

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use arc_swap::ArcSwapOption;
use rustix::process::{Pid, test_kill_process};
use xxhash_rust::xxh3::xxh3_128;

use crate::io::{Host, SharedWords};

/// This machine and this process.
#[derive(Debug)]
pub struct SystemHost {
    guard: ForkGuard,
    started: Instant,
    boot_id: Option<[u8; 16]>,
}

/// How a forked child is told from the process that made the host.
#[derive(Debug)]
enum ForkGuard {
    /// A page that the kernel hands to a child filled with zeros; its first word is not zero here.
    Wiped(SharedWords),
    /// Where there is no such page: the id of the process.
    Process(u32),
}

// Swapped without a lock: a mutex that another thread held at a fork would stay locked in the child for ever.
static SHARED: ArcSwapOption<SystemHost> = ArcSwapOption::const_empty();

impl SystemHost {
    /// The host that everything in this process shares. A forked child gets one of its own.
    pub fn shared() -> Arc<dyn Host> {
        shared_in(&SHARED)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in everywhere else")]
    fn new() -> Self {
        let guard = match wiped_page() {
            Some(page) => ForkGuard::Wiped(page),
            None => ForkGuard::Process(std::process::id()),
        };
        Self { guard, started: Instant::now(), boot_id: read_boot_id() }
    }
}

impl Host for SystemHost {
    fn is_gone(&self, pid: u64) -> bool {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in everywhere else")]
    fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
    }

    #[allow(clippy::disallowed_methods, reason = "this is the clock that is passed in everywhere else")]
    fn monotonic_ns(&self) -> u64 {
        Instant::now().saturating_duration_since(self.started).as_nanos() as u64
    }

    #[cfg(target_os = "linux")]
    #[inline]
    fn coarse_ms(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
        now.tv_sec.cast_unsigned() * 1000 + now.tv_nsec.cast_unsigned() / 1_000_000
    }

    fn random(&self) -> [u8; 16] {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut bytes = [0; 16];
        if getrandom::fill(&mut bytes).is_err() {
            // A kernel that gives no random bytes: ids must still differ, though an attacker might guess them.
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let facts = [self.now_ms(), self.monotonic_ns(), u64::from(self.process_id()), count];
            bytes = xxh3_128(bytemuck::cast_slice(&facts)).to_le_bytes();
        }
        bytes
    }

    fn boot_id(&self) -> Option<[u8; 16]> {
        self.boot_id
    }

    fn process_id(&self) -> u32 {
        std::process::id()
    }

    #[inline]
    fn forked(&self) -> bool {
        match &self.guard {
            ForkGuard::Wiped(page) => page.first().is_none_or(|word| word.load(Ordering::Relaxed) == 0),
            ForkGuard::Process(id) => *id != std::process::id(),
        }
    }
}

fn shared_in(slot: &ArcSwapOption<SystemHost>) -> Arc<SystemHost> {
    match slot.load_full() {
        Some(host) if !host.forked() => host,
        stale => {
            let host = Arc::new(SystemHost::new());
            slot.compare_and_swap(&stale, Some(Arc::clone(&host)));
            // Lost against another thread: two hosts of one process are as good as one.
            host
        }
    }
}

/// A page that a fork wipes; `None` where the kernel knows nothing like it (Linux before 4.14).
#[cfg(target_os = "linux")]
fn wiped_page() -> Option<SharedWords> {
    let page = SharedWords::anonymous(1).ok()?;
    let address = page.as_ptr().cast_mut().cast();
    // SAFETY: the range (which the kernel rounds up) is the one anonymous private page that `page` owns, and the advice changes nothing in this
    // process: a child finds zeros there, which are valid words.
    unsafe { rustix::mm::madvise(address, size_of::<u64>(), rustix::mm::Advice::LinuxWipeOnFork) }.ok()?;
    page.first()?.store(1, Ordering::Relaxed);
    Some(page)
}

#[cfg(not(target_os = "linux"))]
fn wiped_page() -> Option<SharedWords> {
    None
}

fn read_boot_id() -> Option<[u8; 16]> {
    parse_boot_id(&fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?)
}

/// 32 hexadecimal digits, with or without hyphens between them.
fn parse_boot_id(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.trim().chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 {
        return None;
    }
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_id_is_parsed_from_its_text_form() {
        let id = parse_boot_id("00112233-4455-6677-8899-aabbccddeeff\n").unwrap();
        assert_eq!(id[..3], [0x00, 0x11, 0x22]);
        assert_eq!(id[15], 0xff);
        for bad in ["", "0011", "00112233-4455-6677-8899-aabbccddeefg"] {
            assert_eq!(parse_boot_id(bad), None);
        }
    }

    #[test]
    fn host_tells_time_chance_and_process() {
        let host = SystemHost::shared();
        assert!(host.now_ms() > 1_600_000_000_000);
        let before = host.monotonic_ns();
        assert!(host.monotonic_ns() >= before);
        let before = host.coarse_ms();
        assert!(host.coarse_ms() >= before);
        assert_ne!(host.random(), host.random());
        assert_eq!(host.process_id(), std::process::id());
        assert_eq!(host.boot_id(), SystemHost::shared().boot_id());
        #[cfg(target_os = "linux")]
        assert!(host.boot_id().is_some());
    }

    #[test]
    fn the_process_that_made_the_host_is_no_fork() {
        assert!(!SystemHost::shared().forked());
        let other = SystemHost { guard: ForkGuard::Process(0), started: SystemHost::new().started, boot_id: None };
        assert!(other.forked());
    }

    #[test]
    fn a_stale_host_is_replaced() {
        let stale = SystemHost { guard: ForkGuard::Process(0), started: SystemHost::new().started, boot_id: None };
        let slot = ArcSwapOption::from_pointee(stale);
        let host = shared_in(&slot);
        assert!(!host.forked());
        assert!(Arc::ptr_eq(&host, &shared_in(&slot)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_forked_child_sees_the_wiped_page() {
        use std::{io, os::unix::process::CommandExt, process::Command};

        let host = Arc::new(SystemHost::new());
        assert!(matches!(host.guard, ForkGuard::Wiped(_)));
        let seen_by_child = Arc::clone(&host);
        let mut command = Command::new("true");
        // SAFETY: between fork and exec the closure loads one word and allocates nothing.
        unsafe {
            command.pre_exec(move || if seen_by_child.forked() { Ok(()) } else { Err(io::ErrorKind::Other.into()) })
        };
        assert!(command.status().unwrap().success());
        assert!(!host.forked());
    }
}
