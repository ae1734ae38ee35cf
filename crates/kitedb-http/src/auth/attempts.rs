//! Failed attempts: how many come from where.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use tokio::time::Instant;

/// So many may fail within a window before they are told to wait.
const LIMIT: u32 = 20;
/// In seconds.
const WINDOW: u32 = 60;
/// So many windows are kept, whoever asks.
const SLOTS: usize = 4096;

/// Counts failed attempts by the address that they come from, in a table of a fixed size. Addresses may share a slot, as nothing is
/// decided by it but how a wrong credential is answered: a right one is admitted whatever the table says.
pub(super) struct Attempts {
    began: Instant,
    /// Nobody can know which addresses share a slot.
    hasher: RandomState,
    /// In each, the second in which its window began and, in the lower half, how many failed since; 0: none.
    slots: Box<[AtomicU64]>,
}

impl fmt::Debug for Attempts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempts(...)")
    }
}

impl Attempts {
    pub fn new() -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self { began: Instant::now(), hasher: RandomState::new(), slots }
    }

    /// Counts one that failed. Where they are too many: in how many seconds it may be tried again.
    pub fn failed(&self, peer: Option<IpAddr>) -> Option<u32> {
        let now = u32::try_from(self.began.elapsed().as_secs()).unwrap_or(u32::MAX);
        self.failed_at(peer, now)
    }

    fn failed_at(&self, peer: Option<IpAddr>, now: u32) -> Option<u32> {
        let slot = self.slots.get(self.hasher.hash_one(peer.map(network_of)) as usize % SLOTS)?;
        let counted = |packed: u64| {
            let (began, failed) = ((packed >> 32) as u32, packed as u32);
            let open = failed > 0 && now.saturating_sub(began) < WINDOW;
            if open { (began, failed.saturating_add(1)) } else { (now, 1) }
        };
        let packed = |(began, failed): (u32, u32)| u64::from(began) << 32 | u64::from(failed);
        let before =
            slot.fetch_update(Relaxed, Relaxed, |before| Some(packed(counted(before)))).unwrap_or_else(|same| same);
        let (began, failed) = counted(before);
        (failed > LIMIT).then(|| WINDOW.saturating_sub(now.saturating_sub(began)).max(1))
    }
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_fails_too_often_waits_for_the_end_of_the_window() {
        let attempts = Attempts::new();
        let peer = Some("10.0.0.7".parse().unwrap());
        for _ in 0..LIMIT {
            assert_eq!(attempts.failed_at(peer, 100), None);
        }
        assert_eq!(attempts.failed_at(peer, 100), Some(WINDOW));
        assert_eq!(attempts.failed_at(peer, 130), Some(WINDOW - 30));
        assert_eq!(attempts.failed_at(peer, 100 + WINDOW - 1), Some(1));
        // Another one, in which it counts anew.
        assert_eq!(attempts.failed_at(peer, 100 + WINDOW), None);
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_count_as_one() {
        let attempts = Attempts::new();
        for n in 0..LIMIT {
            assert_eq!(attempts.failed_at(format!("2001:db8::{n:x}").parse().ok(), 0), None);
        }
        assert_eq!(attempts.failed_at("2001:db8::ffff".parse().ok(), 0), Some(WINDOW));
        assert_eq!(network_of("::ffff:10.0.0.7".parse().unwrap()), "10.0.0.7".parse::<IpAddr>().unwrap());
        assert_ne!(network_of("2001:db8:0:1::1".parse().unwrap()), network_of("2001:db8::1".parse().unwrap()));
    }
}
