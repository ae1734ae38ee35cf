//! Values that hold the bytes of frames: a backup of a log kept in a property, or worse. What looks like a frame within
//! one is none.

use crate::{
    naive::{FRAME_HEADER, RawFrame, follow, page_of},
    segments::{frames, segments},
    support::Rng,
    support_replication::{Machine, catch_up},
};
use kitedb_core::{Database, OpenOptions, ReplicationRole, SyncMode};

fn options() -> OpenOptions {
    let options = OpenOptions::new().sync_mode(SyncMode::Off).background(false).auto_checkpoint(false);
    options.replication_role(ReplicationRole::Primary)
}

fn commit(db: &Database, bytes: &[u8]) {
    db.transaction(|tx| {
        let node = tx.create_node(None)?;
        tx.set_node_prop(node, "bytes", bytes.to_vec())
    })
    .unwrap();
}

/// Every frame is found where it is, from cold and in any order, and a replica gets the same graph.
fn expect_found(machine: &Machine, db: Database) {
    let all = frames(&segments(machine));
    let head = db.last_commit_token().unwrap().log_index.0;
    assert_eq!(all.len() as u64, head);
    assert!(follow(&db, "", 3, usize::MAX) == all);
    let mut rng = Rng::new(1);
    for round in 0..200 {
        let at = rng.below(head) as usize;
        let page = page_of(&db, &format!("1:0:0:{}", at + 1), 3, usize::MAX);
        assert!(page.raw() == all[at..].iter().take(3).cloned().collect::<Vec<_>>(), "at {}, round {round}", at + 1);
    }
    db.close().unwrap();
    // One that has read nothing yet goes right for each place.
    for _ in 0..20 {
        let db = machine.open(options()).unwrap();
        let at = rng.below(head) as usize;
        let page = page_of(&db, &format!("1:0:0:{}", at + 1), 2, usize::MAX);
        assert!(page.raw() == all[at..].iter().take(2).cloned().collect::<Vec<_>>(), "at {}", at + 1);
        db.close().unwrap();
    }
    let db = machine.open(options()).unwrap();
    let other = Machine::new("replica", 2, SyncMode::Off);
    let replica = other.replica_of(machine);
    assert_eq!(catch_up(&replica) as u64, head);
    assert_eq!(replica.snapshot().unwrap().digest(), db.snapshot().unwrap().digest());
}

#[test]
fn a_log_that_holds_copies_of_its_own_frames_is_read_right() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let db = machine.open(options()).unwrap();
    for n in 0..3000u64 {
        commit(&db, &n.to_le_bytes());
    }
    let copy: Vec<u8> = frames(&segments(&machine)).into_iter().flat_map(|frame| frame.bytes).collect();
    // Wherever a value begins in its segment, one of these has its frames where frames may begin.
    for shift in 0..8 {
        commit(&db, &[&vec![0xEE; shift][..], &copy].concat());
    }
    for n in 0..3000u64 {
        commit(&db, &n.to_le_bytes());
    }
    expect_found(&machine, db);
}

/// The files of the log themselves, marks and all: what is found in a copy is what is in the log, and nothing is lost.
#[test]
fn a_log_that_holds_copies_of_its_own_segments_is_read_to_its_end() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let mut db = machine.open(options()).unwrap();
    for round in 0..4 {
        for n in 0..2000u64 {
            commit(&db, &n.to_le_bytes());
        }
        let copy = machine.disk.read(&machine.segments()[0]).unwrap();
        for shift in 0..8 {
            commit(&db, &[&vec![0xEE; shift][..], &copy[..copy.len().min(2 << 20)]].concat());
        }
        if round % 2 == 0 {
            db.close().unwrap();
            db = machine.open(options()).unwrap();
        }
    }
    let essence =
        |frames: Vec<RawFrame>| frames.into_iter().map(|frame| (frame.index, frame.bytes)).collect::<Vec<_>>();
    let all = essence(frames(&segments(&machine)));
    let mut rng = Rng::new(1);
    for fresh in [false, true] {
        if fresh {
            db.close().unwrap();
            db = machine.open(options()).unwrap();
        }
        for _ in 0..100 {
            let at = rng.below(all.len() as u64) as usize;
            let page = essence(page_of(&db, &format!("1:0:0:{}", at + 1), 3, usize::MAX).raw());
            assert!(!page.is_empty() && all[at..].starts_with(&page), "at {}", at + 1);
        }
        assert!(essence(follow(&db, "", 50, usize::MAX)) == all);
    }
    let other = Machine::new("replica", 2, SyncMode::Off);
    let replica = other.replica_of(&machine);
    assert_eq!(catch_up(&replica), all.len());
    assert_eq!(replica.snapshot().unwrap().digest(), db.snapshot().unwrap().digest());
}

/// A frame with these numbers that verifies.
fn forged(epoch: u64, index: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEADER];
    frame[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    frame[8..16].copy_from_slice(&epoch.to_le_bytes());
    frame[16..24].copy_from_slice(&index.to_le_bytes());
    // The feature level.
    frame[32] = 1;
    frame.extend_from_slice(payload);
    let crc = crc32fast::hash(&frame[4..]);
    frame[..4].copy_from_slice(&crc.to_le_bytes());
    frame.resize(frame.len().next_multiple_of(8), 0);
    assert_eq!(RawFrame::parse(&frame).index, index);
    frame
}

/// Whoever may write a value must not be able to put frames of his own in the way of replicas.
#[test]
fn forged_frames_in_values_are_never_served() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let db = machine.open(options()).unwrap();
    for n in 0..1000u64 {
        commit(&db, &n.to_le_bytes());
    }
    // Frames with every number from the first to far beyond the head, end to end, long and short.
    let run = |from: u64, to: u64| -> Vec<u8> {
        (from..to).flat_map(|index| forged(1, index, &vec![0x66; (index % 90) as usize])).collect()
    };
    for shift in 0..8 {
        let forged = [run(1, 3000), run(900, 1100), run(1, 3000)].concat();
        commit(&db, &[&vec![0xEE; shift][..], &forged].concat());
        for n in 0..100u64 {
            commit(&db, &n.to_le_bytes());
        }
    }
    expect_found(&machine, db);
}
