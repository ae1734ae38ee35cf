use super::{
    encoding::{EPOCH_BITS, EPOCH_MASK, FenceWords, RECORD, encode, hot, old_end_check},
    *,
};
use crate::{
    error::ErrorCode,
    io::{
        Disk, OpenMode,
        sim::{Crash, Loss, SimDisk},
    },
    log::{Control, LogIdentity},
};
use std::path::Path;

const A: WriterId = [0xA5; 16];
const B: WriterId = [1; 16];

/// What a transition can make of a fence.
fn next(fence: Fence) -> Vec<Fence> {
    let last = LogIndex(fence.epoch.0 * 7);
    let own = Some(EpochEnd { epoch: fence.epoch, last });
    let mut all = vec![
        Fence { follows: !fence.follows, ..fence },
        Fence { ended: None, ..fence },
        Fence { epoch: Epoch(fence.epoch.0 + 2), moved_by: None, ..fence },
        fence.begun(Epoch(fence.epoch.0 + 1), own),
        fence.begun(Epoch(fence.epoch.0 + 1), fence.ended),
    ];
    if fence.is_ending() {
        let end = Some(EpochEnd { epoch: Epoch(fence.epoch.0 - 1), last });
        all.extend([fence.taken_over(B), fence.completed(last), fence.begun(Epoch(fence.epoch.0 + 1), end)]);
    } else if !fence.follows {
        all.extend([fence.raised(A), fence.raised(B)]);
    }
    all.retain(|next| *next != fence);
    all
}

fn reachable() -> Vec<Fence> {
    let mut all = vec![Fence::new(Epoch(1)), Fence::new(Epoch(0xFFFF_FFFF)), Fence::new(Epoch(EPOCH_MASK - 9))];
    for from in [0, 3, 20] {
        let found: Vec<Fence> = all[from..].iter().flat_map(|fence| next(*fence)).collect();
        for fence in found {
            if !all.contains(&fence) {
                all.push(fence);
            }
        }
    }
    assert!(all.len() > 100, "{}", all.len());
    all
}

fn steady(fence: &Fence) -> FenceWords {
    FenceWords { hot: hot(fence.epoch), first: encode(fence), second: encode(fence), old: [0; 7] }
}

fn word(words: &mut FenceWords, at: usize) -> &mut u64 {
    match at {
        0..RECORD => &mut words.first[at],
        RECORD => &mut words.hot,
        _ if at <= 2 * RECORD => &mut words.second[at - RECORD - 1],
        _ => &mut words.old[at - 2 * RECORD - 1],
    }
}

const ALL: usize = 2 * RECORD + 1 + 7;

fn flips(words: FenceWords) -> impl Iterator<Item = FenceWords> {
    (0..ALL * 64).map(move |bit| {
        let mut flipped = words;
        *word(&mut flipped, bit / 64) ^= 1 << (bit % 64);
        flipped
    })
}

#[test]
fn no_flipped_bit_makes_another_epoch_of_the_word_that_committers_compare() {
    let powers = (0..EPOCH_BITS).flat_map(|bit| [1 << bit, (1 << bit) - 1, (1u64 << bit) ^ 0x5A5A_5A5A]);
    for epoch in (0..3000).chain(powers).chain([EPOCH_MASK]) {
        let epoch = Epoch(epoch & EPOCH_MASK);
        for bit in 0..64 {
            let flipped = hot(epoch) ^ (1 << bit);
            assert_ne!(flipped, hot(Epoch(flipped & EPOCH_MASK)), "bit {bit} of epoch {epoch}");
        }
    }
}

#[test]
fn a_flipped_bit_changes_nothing_that_a_fence_says() {
    for fence in reachable() {
        assert_eq!(steady(&fence).decode(), Some(fence));
        for flipped in flips(steady(&fence)) {
            assert_eq!(flipped.decode(), Some(fence));
        }
    }
}

/// The words after so many stores of a transition, in the order in which they are made.
fn after_stores(from: &Fence, to: &Fence, stores: usize) -> FenceWords {
    let (mut words, mut new) = (steady(from), steady(to));
    for at in 0..stores {
        *word(&mut words, at) = *word(&mut new, at);
    }
    words
}

#[test]
fn a_transition_that_is_cut_short_leaves_the_state_before_or_after_it() {
    for from in reachable() {
        for to in next(from).into_iter().filter(|to| to.epoch.0 <= EPOCH_MASK) {
            for stores in 0..=2 * RECORD + 1 {
                let words = after_stores(&from, &to, stores);
                let found = words.decode();
                let want = if stores < RECORD { from } else { to };
                // Words that do not differ make no difference.
                assert!(found == Some(want) || found == Some(to), "after {stores} stores of {from:?} to {to:?}");
                for flipped in flips(words) {
                    let found = flipped.decode();
                    assert!(found.is_none_or(|found| found == from || found == to), "{from:?} to {to:?}");
                    if stores > RECORD && from.epoch != to.epoch {
                        // Committers have seen it: nothing takes it back.
                        assert!(found.is_none_or(|found| found == to), "{from:?} to {to:?}");
                    }
                }
            }
        }
    }
}

/// Between two syncs any words may reach the disk.
#[test]
fn a_loss_of_power_in_a_transition_leaves_the_state_before_or_after_it() {
    for from in reachable() {
        for to in next(from).into_iter().filter(|to| to.epoch.0 <= EPOCH_MASK) {
            for (synced, unsynced) in [(0, 0..RECORD), (RECORD, RECORD..2 * RECORD + 1)] {
                for kept in 0..1usize << unsynced.len() {
                    let (mut words, mut new) = (after_stores(&from, &to, synced), steady(&to));
                    for at in unsynced.clone().filter(|at| kept >> (at - unsynced.start) & 1 != 0) {
                        *word(&mut words, at) = *word(&mut new, at);
                    }
                    let found = words.decode();
                    assert!(found == Some(from) || found == Some(to), "{found:?} of {from:?} to {to:?}");
                }
            }
        }
    }
}

fn old_words(fence: &Fence) -> FenceWords {
    let by = u128::from_le_bytes(fence.moved_by.unwrap_or_default());
    let end = fence.ended.map_or((Epoch(0), LogIndex(0)), |end| (end.epoch, end.last));
    let flags = if fence.follows { 7 } else { 5 };
    let owned = if fence.moved_by.is_some() { fence.epoch.0 } else { 0 };
    let old = [flags, by as u64, (by >> 64) as u64, end.0.0, end.1.0, old_end_check(end), owned];
    FenceWords { hot: fence.epoch.0, first: [0; RECORD], second: [0; RECORD], old }
}

#[test]
fn what_an_older_control_file_says_is_read_and_kept_by_the_upgrade() {
    for fence in reachable() {
        let old = old_words(&fence);
        assert_eq!(old.decode(), Some(fence));
        for stores in 0..=2 * RECORD + 1 {
            let (mut words, mut new) = (old, steady(&fence));
            for at in 0..stores {
                *word(&mut words, at) = *word(&mut new, at);
            }
            assert_eq!(words.decode(), Some(fence), "after {stores} stores");
        }
    }
    // An owner of another epoch than the one that leads says nothing, nor does an end whose check does not fit.
    let mut words = old_words(&Fence::new(Epoch(3)).raised(A).completed(LogIndex(9)));
    (words.old[6], words.old[4]) = (3, 8);
    assert_eq!(words.decode(), Some(Fence::new(Epoch(4))));
}

const DIR: &str = "/log";

fn control_of(disk: &SimDisk) -> Control {
    disk.create_dir(Path::new(DIR)).unwrap();
    let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
    let control = Control::create(disk, Path::new(DIR), log, [3; 16], Epoch(1)).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    control
}

#[test]
fn a_flipped_bit_in_the_file_is_mended_and_two_that_cannot_be_are_an_error() {
    let fence = Fence::new(Epoch(1)).raised(A).completed(LogIndex(7));
    let path = Path::new("/log/control");
    for at in [16..17, 19..20, 21..25, 33..34, 35..48].into_iter().flatten() {
        for byte in 0..8 {
            let disk = SimDisk::new(1);
            let control = control_of(&disk);
            control.put_fence(&fence).unwrap().durable().unwrap();
            disk.corrupt(path, at as u64 * 8 + byte, 1 << byte).unwrap();
            for mode in [OpenMode::Read, OpenMode::ReadWrite] {
                let seen = Control::open(&disk, Path::new(DIR), mode).unwrap().unwrap();
                assert_eq!(seen.fence().unwrap(), fence, "word {at}");
                assert!(!seen.allows(Epoch(1)));
            }
            let seen = Control::open(&disk, Path::new(DIR), OpenMode::ReadWrite).unwrap().unwrap();
            assert_eq!(seen.settle_fence().unwrap(), fence);
            assert!(seen.fence_words().say(&fence) && seen.allows(Epoch(2)));
        }
    }
    let disk = SimDisk::new(1);
    let control = control_of(&disk);
    for at in [37, 43] {
        disk.corrupt(path, at * 8, 1).unwrap();
    }
    let error = control.fence().unwrap_err();
    assert_eq!(error.code(), ErrorCode::Corrupt);
    assert!(error.to_string().contains("/log/control does not verify"), "{error}");
    assert!(control.is_replica(), "nobody leads by it");
    assert!(control.settle_fence().is_err() && control.set_fence(Epoch(9)).is_err());
}

#[test]
fn a_fence_whose_sync_fails_is_in_force_and_said_not_to_be_durable() {
    use crate::io::sim::{FaultOn, FaultPlan};
    let disk = SimDisk::new(1);
    let control = control_of(&disk);
    disk.fail(FaultPlan::new(FaultOn::Sync, 1, std::io::ErrorKind::Other).forever());
    let raised = Fence::new(Epoch(1)).raised(B);
    assert!(!control.put_fence(&raised).unwrap().is_durable());
    assert_eq!(control.fence().unwrap(), raised);
    assert!(!control.allows(Epoch(1)) && control.allows(Epoch(2)));
    assert!(raised.is_ending() && raised.end_before().is_none());
    disk.clear_faults();
    // Once more, with the same words.
    assert!(control.put_fence(&raised).unwrap().is_durable());
    drop(control);
    let after = disk.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
    let control = Control::open(&after, Path::new(DIR), OpenMode::Read).unwrap().unwrap();
    assert_eq!(control.fence().unwrap(), raised);
}

#[test]
fn an_epoch_beyond_what_the_word_can_hold_is_refused() {
    let control = control_of(&SimDisk::new(1));
    let before = control.fence().unwrap();
    assert_eq!(control.set_fence(Epoch(EPOCH_MASK + 1)).unwrap_err().code(), ErrorCode::Internal);
    assert_eq!(control.fence().unwrap(), before);
}

#[test]
fn an_assumed_fence_that_is_cut_short_is_assumed_or_not_there() {
    for op in 1..20 {
        for crash in [Crash::Kill, Crash::PowerLoss(Loss::LoseAllUnsynced), Crash::PowerLoss(Loss::KeepAll)] {
            let (disk, dir) = (SimDisk::new(op), Path::new("/log"));
            disk.create_dir(dir).unwrap();
            disk.sync_dir(Path::new("/")).unwrap();
            let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
            let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
            disk.sync_dir(dir).unwrap();
            disk.crash_at(disk.ops() + op);
            let _ = control.put_assumed_fence(&Fence::new(Epoch(1)).raised(A));
            let found = Control::open(&disk.restart(crash), dir, OpenMode::ReadWrite).unwrap().unwrap();
            let fence = found.settle_fence().unwrap();
            assert!(fence.moved().is_none() || found.fence_is_assumed(), "operation {op}, {crash:?}: {fence:?}");
        }
    }
}
