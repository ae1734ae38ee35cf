//! The segments of a log: what their headers say, where frames lie in them, and when one is left for the next.

use crate::{
    naive::{FRAME_HEADER, RawFrame, RawSegment, SEGMENT_HEADER},
    support::for_seeds,
    support_replication::{Graph, MODES, Machine, catch_up, primary_status, replica_status},
};
use kitedb_core::{
    Database, ReplicationRole, SyncMode,
    io::sim::{Crash, Loss},
};

pub fn segments(machine: &Machine) -> Vec<RawSegment> {
    machine.segments().iter().map(|path| RawSegment::parse(path, &machine.disk.read(path).unwrap())).collect()
}

/// The frames that count: where a segment begins anew at an index, what the one before has from there on is void.
pub fn frames(segments: &[RawSegment]) -> Vec<RawFrame> {
    let bound = |at: usize| segments.get(at + 1).map_or(u64::MAX, |next| next.first);
    let kept = |(at, segment): (usize, &RawSegment)| {
        segment.frames.iter().filter(|frame| frame.index < bound(at)).cloned().collect::<Vec<_>>()
    };
    segments.iter().enumerate().flat_map(kept).collect()
}

/// The log is whole: headers follow each other, frames are dense, and their digests are those of the graph.
#[track_caller]
fn expect_whole(machine: &Machine, graph: &Graph) -> Vec<RawSegment> {
    let segments = segments(machine);
    let first = &segments[0];
    for (at, segment) in segments.iter().enumerate() {
        assert_eq!(segment.number, first.number + at as u64, "segments are numbered one by one");
        assert_eq!((segment.log_id, segment.file_id), (first.log_id, first.file_id));
        assert_eq!(segment.digest_before, graph.digests[segment.first as usize - 1].0);
        for (nth, frame) in segment.frames.iter().enumerate() {
            assert_eq!(frame.index, segment.first + nth as u64);
            assert_eq!(frame.epoch, segment.epoch);
            assert_eq!(frame.offset % 8, 0);
        }
    }
    let frames = frames(&segments);
    let indexes: Vec<u64> = frames.iter().map(|frame| frame.index).collect();
    assert_eq!(indexes, (first.first..=graph.head()).collect::<Vec<_>>());
    for frame in &frames {
        assert_eq!(frame.digest, graph.digests[frame.index as usize].0, "the digest after frame {}", frame.index);
    }
    segments
}

#[test]
fn the_log_of_any_history_is_dense_in_every_mode() {
    for_seeds("replication_phase_a", "segments::the_log_of_any_history_is_dense_in_every_mode", 12, |seed| {
        let machine = Machine::new("primary", seed, MODES[seed as usize % 3]);
        let (mut db, mut graph) = (machine.primary(), Graph::new(seed));
        for round in 0..6 {
            graph.grow(&db, 1 + (seed + round) % 9);
            match (seed + round) % 5 {
                0 => db.checkpoint().unwrap(),
                1 => {
                    db.close().unwrap();
                    db = machine.primary();
                }
                2 => drop(db.primary_promote_to_next_epoch().unwrap()),
                3 => db.sync().unwrap(),
                _ => {}
            }
            expect_whole(&machine, &graph);
        }
        graph.expect_all(&db);
        db.close().unwrap();
        // A sidecar stays when its database is closed.
        expect_whole(&machine, &graph);
        machine.expect_no_violations();
    });
}

#[test]
fn a_segment_is_left_for_the_next_one_before_it_outgrows_its_limit() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(10_000);
    let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(1));
    graph.grow(&db, 200);
    let segments = expect_whole(&machine, &graph);
    assert!(segments.len() > 3);
    for pair in segments.windows(2) {
        assert!(pair[0].end <= 10_000 || pair[0].frames.len() == 1, "{} bytes", pair[0].end);
        let next = &pair[1].frames[0];
        assert!(pair[0].end + next.bytes.len() + 32 > 10_000, "the next frame would have fitted");
        assert!(pair[0].begun_ms <= pair[1].begun_ms);
    }
}

#[test]
fn with_a_limit_of_one_byte_every_frame_has_a_segment_of_its_own() {
    for limit in [0, 1] {
        let machine = Machine::new("primary", 1, SyncMode::Normal);
        let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(limit);
        let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(1));
        graph.grow(&db, 6);
        let segments = expect_whole(&machine, &graph);
        let held: Vec<_> = segments.iter().map(|s| (s.number, s.first, s.frames.len())).collect();
        assert_eq!(held, (1..=6).map(|n| (n, n, 1)).collect::<Vec<_>>());
        assert_eq!(primary_status(&db).segments, 6);
    }
}

#[test]
fn without_a_limit_given_small_commits_share_a_segment() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let options = kitedb_core::OpenOptions::new()
        .sync_mode(SyncMode::Off)
        .background(false)
        .replication_role(ReplicationRole::Primary);
    let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(1));
    graph.grow(&db, 100);
    let segments = expect_whole(&machine, &graph);
    assert_eq!(segments.len(), 1);
    // Zeros are written ahead, so that an append moves no metadata.
    assert!(segments[0].len > segments[0].end);
    let bytes = machine.disk.read(&machine.segments()[0]).unwrap();
    assert!(bytes[segments[0].end..].iter().all(|b| *b == 0));
    assert!(bytes[128..SEGMENT_HEADER].iter().all(|b| *b == 0));
}

fn commit(db: &Database, payload: usize) -> u64 {
    let mut tx = db.begin().unwrap();
    let node = tx.create_node(None).unwrap();
    tx.set_node_prop(node, "payload", vec![0xA5; payload]).unwrap();
    tx.commit().unwrap().log_index.0
}

/// Who seeks a frame finds his way in by marks.
#[test]
fn a_mark_is_never_far_and_claims_only_what_is_durable() {
    for mode in MODES {
        let machine = Machine::new("primary", 1, mode);
        let options = machine.options(ReplicationRole::Primary).replication_segment_max_bytes(1 << 20);
        let db = machine.open(options).unwrap();
        for n in 1..=400 {
            commit(&db, 10_000);
            if n % 100 == 0 {
                db.sync().unwrap();
            }
        }
        let segments = segments(&machine);
        assert!(segments.len() > 3);
        for segment in &segments {
            let ways_in =
                [SEGMENT_HEADER].into_iter().chain(segment.marks.iter().map(|mark| mark.0)).chain([segment.end]);
            let ways_in: Vec<usize> = ways_in.collect();
            assert!(ways_in.windows(2).all(|pair| pair[1] - pair[0] < (64 << 10) + 12_000), "{ways_in:?}");
            for (at, claimed) in &segment.marks {
                let before = segment.frames.iter().take_while(|frame| frame.offset < *at as u64).last();
                let written = before.map_or(segment.first - 1, |frame| frame.index);
                assert!(*claimed <= written, "a mark after frame {written} claims {claimed}");
            }
            assert!(segment.marks.is_sorted_by_key(|mark| mark.1));
        }
        if mode == SyncMode::Off {
            let claims = |claimed: u64| segments.iter().flat_map(|s| &s.marks).any(|mark| mark.1 == claimed);
            assert!(claims(100) && claims(300));
            let last = segments.last().unwrap();
            assert!(last.marks.last().unwrap().1 < last.frames.last().unwrap().index);
        }
    }
}

#[test]
fn a_frame_is_a_header_a_payload_and_padding_and_is_never_split() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    for payload in [0, 1, 7, 8, 4000, 5000, 100_000, 3] {
        let index = commit(&db, payload);
        let segments = segments(&machine);
        let frame = segments.last().unwrap().frames.last().unwrap();
        assert_eq!(frame.index, index);
        assert!(frame.bytes.len() >= FRAME_HEADER + payload && frame.bytes.len() < FRAME_HEADER + payload + 100);
        assert_eq!(frame.bytes.len() % 8, 0);
    }
}

#[test]
fn frames_carry_the_time_of_their_commit_and_segments_that_of_their_beginning() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let db = machine.primary();
    let mut expected = Vec::new();
    for _ in 0..20 {
        machine.host.advance_ms(1000);
        expected.push(kitedb_core::io::Host::now_ms(&machine.host));
        commit(&db, 500);
    }
    let segments = segments(&machine);
    let times: Vec<u64> = frames(&segments).iter().map(|frame| frame.commit_ms).collect();
    assert_eq!(times, expected);
    for segment in &segments {
        assert_eq!(segment.begun_ms, segment.frames[0].commit_ms);
    }
}

#[test]
fn a_new_epoch_begins_a_new_segment_of_another_writer() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 3);
    assert_eq!(db.primary_promote_to_next_epoch().unwrap(), 2);
    graph.grow(&db, 3);
    let segments = expect_whole(&machine, &graph);
    let last = segments.last().unwrap();
    let (before, after): (Vec<_>, Vec<_>) = segments.iter().partition(|s| s.epoch == 1);
    assert_eq!((after[0].epoch, after[0].first), (2, 4));
    assert!(before.iter().all(|s| s.writer_id == before[0].writer_id));
    assert!(after.iter().all(|s| s.writer_id == last.writer_id && s.epoch == 2));
    assert_ne!(before[0].writer_id, last.writer_id);
}

/// The number of an epoch says who wrote it only together with the writer's id: after the end of a machine frames
/// may be gone that someone has seen.
#[test]
fn after_a_loss_of_power_another_epoch_begins_and_after_a_kill_the_same_goes_on() {
    for mode in MODES {
        let machine = Machine::new("primary", 7, mode);
        let (db, mut graph) = (machine.primary(), Graph::new(7));
        graph.grow(&db, 5);
        let killed = machine.restart(Crash::Kill);
        drop(db);
        let db = killed.primary();
        assert_eq!(graph.expect(&db), 5);
        graph.grow(&db, 2);
        let segments = expect_whole(&killed, &graph);
        assert!(segments.iter().all(|s| s.epoch == 1 && s.writer_id == segments[0].writer_id));

        db.sync().unwrap();
        let lost = killed.restart(Crash::PowerLoss(Loss::LoseAllUnsynced));
        drop(db);
        let db = lost.primary();
        assert_eq!(graph.expect(&db), 7);
        graph.grow(&db, 2);
        let segments = expect_whole(&lost, &graph);
        let last = segments.last().unwrap();
        assert_eq!((last.epoch, primary_status(&db).epoch), (2, 2), "{mode:?}");
        assert_ne!(last.writer_id, segments[0].writer_id);
    }
}

/// The same bytes are the log, what travels, and what a replica keeps.
#[test]
fn a_replica_keeps_the_frames_of_its_source_byte_by_byte() {
    for (seed, mode) in (1..).zip(MODES) {
        let (a, b) = (Machine::new("primary", seed, mode), Machine::new("replica", seed + 10, mode));
        let (primary, mut graph) = (a.primary(), Graph::new(seed));
        let options = b.following(&a).replication_segment_max_bytes(3000);
        let replica = b.open_replica_of(&a, options).unwrap();
        for round in 0..5 {
            graph.grow(&primary, 7);
            if round == 2 {
                primary.primary_promote_to_next_epoch().unwrap();
            }
            catch_up(&replica);
        }
        assert_eq!(replica_status(&replica).applied_log_index, 35);
        let essence = |machine: &Machine| -> Vec<(u64, Vec<u8>)> {
            frames(&segments(machine)).into_iter().map(|frame| (frame.index, frame.bytes)).collect()
        };
        assert_eq!(essence(&a), essence(&b));
        let (of_a, of_b) = (segments(&a), segments(&b));
        assert_ne!(of_a[0].log_id, of_b[0].log_id);
        assert_ne!(of_a[0].file_id, of_b[0].file_id);
        let writers = |segments: &[RawSegment]| {
            let mut all: Vec<_> = segments.iter().map(|s| (s.epoch, s.writer_id)).collect();
            all.dedup();
            all
        };
        assert_eq!(writers(&of_a), writers(&of_b), "who wrote each epoch");
    }
}

#[test]
fn opening_and_closing_writes_no_frame() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    assert_eq!(machine.segments(), Vec::<std::path::PathBuf>::new());
    graph.grow(&db, 2);
    let before: Vec<RawFrame> = frames(&segments(&machine));
    db.close().unwrap();
    for _ in 0..3 {
        let db = machine.primary();
        assert_eq!(primary_status(&db).head_log_index, 2);
        db.close().unwrap();
    }
    assert_eq!(frames(&segments(&machine)), before);
}

/// A primary that was made a database of its own, and led again, is another one to who followed it.
#[test]
fn the_log_of_what_was_detached_counts_no_more() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&primary, 6);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    primary.close().unwrap();
    Database::detach_in(a.env(), a.db(), a.options(ReplicationRole::Primary)).unwrap();
    let alone = a.open(a.options(ReplicationRole::Disabled)).unwrap();
    graph.grow(&alone, 2);
    alone.close().unwrap();

    let primary = a.primary();
    let status = primary_status(&primary);
    assert_eq!((status.head_log_index, status.retained_floor, status.segments), (8, 9, 1));
    let error = replica.replica_catch_up_once(10).unwrap_err();
    assert_eq!(error.code(), kitedb_core::ErrorCode::NeedsReseed, "{error}");
    graph.grow(&primary, 1);
    assert_eq!(expect_whole(&a, &graph)[0].first, 9);
    // What it has is of a history that nobody else may have: it goes where that is said.
    assert_eq!(replica.replica_reseed_from_snapshot().unwrap_err().code(), kitedb_core::ErrorCode::WouldOverwrite);
    replica.close().unwrap();
    let replica = b.open_replica_of(&a, b.following(&a).replication_overwrite(true)).unwrap();
    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
}
