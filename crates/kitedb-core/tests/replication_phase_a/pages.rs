//! Pages of a log: every frame once, in order, byte by byte, wherever a page begins and however long it may be.

use crate::{
    naive::{Page, RawFrame, follow, page, page_of},
    segments::{frames, segments},
    support::{Rng, for_seeds, meter::Meter},
    support_process::code,
    support_replication::{Graph, MODES, Machine, expect_error, folder::Folder, primary_status},
};
use kitedb_core::{Database, ErrorCode, GraphRead, OpenOptions, ReplicationRole, SyncMode};
use kitedb_transport::TransportJson;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log of several epochs and many segments.
fn grown(seed: u64) -> (Machine, Database, Graph) {
    let machine = Machine::new("primary", seed, MODES[seed as usize % 3]);
    let (mut db, mut graph) = (machine.primary(), Graph::new(seed));
    for round in 0..5 {
        graph.grow(&db, 3 + (seed * 7 + round * 5) % 11);
        match (seed + round) % 4 {
            0 => drop(db.primary_promote_to_next_epoch().unwrap()),
            1 => {
                db.close().unwrap();
                db = machine.primary();
            }
            2 => db.checkpoint().unwrap(),
            _ => {}
        }
    }
    (machine, db, graph)
}

#[track_caller]
fn expect_rest(db: &Database, cursor: &str, expected: &[RawFrame]) {
    let page = page(db, cursor);
    assert_eq!(page.gap, None, "after {cursor}");
    assert!(page.eof);
    assert!(page.raw() == expected, "after {cursor}: {:?}", page.indexes());
}

#[test]
fn pages_of_any_size_from_any_cursor_hold_what_the_segments_hold() {
    for_seeds(
        "replication_phase_a",
        "pages::pages_of_any_size_from_any_cursor_hold_what_the_segments_hold",
        12,
        |seed| {
            let (machine, db, graph) = grown(seed);
            let all = frames(&segments(&machine));
            assert_eq!(all.len() as u64, graph.head());
            let largest = all.iter().map(|frame| frame.bytes.len()).max().unwrap();
            let mut rng = Rng::new(seed);
            for (max_frames, max_bytes) in [(1, usize::MAX), (2, largest), (usize::MAX, largest), (7, 3 * largest)] {
                assert!(follow(&db, "", max_frames, max_bytes) == all, "{max_frames} frames, {max_bytes} bytes");
            }
            for (at, frame) in all.iter().enumerate() {
                if !rng.one_in(4) {
                    continue;
                }
                let RawFrame { epoch, index, segment, .. } = *frame;
                // After the frame, whether the cursor names its first byte, its end, or a place in some other log.
                for after in [frame.start().to_string(), frame.end().to_string(), format!("{epoch}:999:88:{index}")] {
                    expect_rest(&db, &after, &all[at + 1..]);
                }
                // Before it.
                for before in [format!("{epoch}:0:0:{index}"), format!("{epoch}:{segment}:0:{index}")] {
                    expect_rest(&db, &before, &all[at..]);
                }
                let few = 1 + rng.below(5) as usize;
                assert!(
                    page_of(&db, &frame.end().to_string(), few, usize::MAX).raw()
                        == all[at + 1..].iter().take(few).cloned().collect::<Vec<_>>()
                );
            }
            machine.expect_no_violations();
        },
    );
}

#[test]
fn a_page_says_where_it_ends_and_whether_more_is_there() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    let empty = page(&db, "");
    assert_eq!((empty.epoch, empty.head_log_index, empty.retained_floor), (1, 0, 0));
    assert_eq!((empty.eof, empty.frame_count, empty.cursor, empty.next_cursor, empty.gap), (true, 0, None, None, None));

    graph.grow(&db, 5);
    let first = page_of(&db, "", 2, usize::MAX);
    assert_eq!((first.indexes(), first.eof, first.head_log_index), (vec![1, 2], false, 5));
    let end = first.raw()[1].end().to_string();
    assert_eq!(first.next_cursor, Some(end.clone()));
    let second = page_of(&db, &end, 3, usize::MAX);
    assert_eq!(second.cursor, Some(end));
    // As many as there are: nothing more is there.
    assert_eq!((second.indexes(), second.eof), (vec![3, 4, 5], true));
    let third = page(&db, second.next_cursor.as_ref().unwrap());
    assert_eq!((third.frame_count, third.next_cursor, third.eof), (0, None, true));
    // The place stays good: what is committed later comes after it.
    graph.grow(&db, 1);
    assert_eq!(page(&db, second.next_cursor.as_ref().unwrap()).indexes(), [6]);
}

#[test]
fn a_page_holds_no_more_bytes_than_asked_for_and_says_when_they_are_too_few() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(3));
    graph.grow(&db, 30);
    let all = frames(&segments(&machine));
    let sizes: Vec<usize> = all.iter().map(|frame| frame.bytes.len()).collect();
    assert!(sizes.iter().max() > sizes.iter().min());
    for at in 0..all.len() {
        let cursor = format!("1:0:0:{}", at + 1);
        for taken in 1..4.min(all.len() - at) {
            let exactly: usize = sizes[at..at + taken].iter().sum();
            assert_eq!(page_of(&db, &cursor, 99, exactly).frame_count, taken);
            assert!(page_of(&db, &cursor, 99, exactly + 1).frame_count >= taken);
            assert!(taken == 1 || page_of(&db, &cursor, 99, exactly - 1).frame_count == taken - 1);
        }
        let less = db.primary_export_log_transport_json(Some(&cursor), 99, sizes[at] - 1, true);
        let error = expect_error(less, ErrorCode::InvalidArgument, "max_bytes");
        assert!(error.to_string().contains("smaller than frame size"), "{error}");
    }
    // Whether payloads are asked for or not.
    let one = db.primary_export_log_transport_json(None, 9, 1, false);
    expect_error(one, ErrorCode::InvalidArgument, "max_bytes");
    expect_error(
        db.primary_export_log_transport_json(None, 0, 1, true),
        ErrorCode::InvalidArgument,
        "max_frames must be > 0",
    );
    expect_error(
        db.primary_export_log_transport_json(None, 1, 0, true),
        ErrorCode::InvalidArgument,
        "max_bytes must be > 0",
    );
}

#[test]
fn without_payloads_a_page_is_the_same_but_for_them() {
    let (_machine, db, _) = grown(2);
    let parse = |json: String| serde_json::from_str::<serde_json::Value>(&json).unwrap();
    let mut with = parse(db.primary_export_log_transport_json(None, 7, 1 << 20, true).unwrap());
    let without = parse(db.primary_export_log_transport_json(None, 7, 1 << 20, false).unwrap());
    for frame in with["frames"].as_array_mut().unwrap() {
        assert!(frame["payload_base64"].is_string());
        frame["payload_base64"] = serde_json::Value::Null;
    }
    assert_eq!(with, without);
    let mut keys: Vec<_> = with.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected =
        "cursor eof epoch frame_count frames gap head_log_index next_cursor retained_floor total_bytes version";
    assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
}

#[test]
fn only_a_primary_exports() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let _primary = a.primary();
    let alone = Machine::new("alone", 3, SyncMode::Full);
    for db in [b.replica_of(&a), alone.open(alone.options(ReplicationRole::Disabled)).unwrap()] {
        let phrase = "not opened in primary role";
        expect_error(db.primary_export_log_transport_json(None, 1, 1, true), ErrorCode::NotPrimary, phrase);
        expect_error(db.primary_export_snapshot_transport_json(false), ErrorCode::NotPrimary, phrase);
        let other = db.clone();
        db.close().unwrap();
        assert_eq!(code(other.primary_export_log_transport_json(None, 1, 1, true)), ErrorCode::Closed);
        assert_eq!(code(other.primary_export_snapshot_transport_json(false)), ErrorCode::Closed);
    }
}

#[test]
fn a_cursor_of_an_older_epoch_goes_on_and_one_that_is_off_the_history_is_told() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 4);
    db.primary_promote_to_next_epoch().unwrap();
    db.primary_promote_to_next_epoch().unwrap();
    graph.grow(&db, 4);
    assert_eq!((page(&db, "").epoch, graph.head()), (3, 8));
    let off = Some(("off_history", None, None));
    for (cursor, gap, first) in [
        ("1:1:900:4", None, 5),
        ("1:0:0:5", None, 5),
        ("3:0:0:5", None, 5),
        ("3:2:900:6", None, 7),
        ("3:2:900:8", None, 9),
        // Frame 6 of epoch 1 never was, or was made void; frame 3 of epoch 3 neither; frame 9 is yet to come.
        ("1:1:900:6", off, 5),
        ("2:1:900:5", off, 5),
        ("3:1:900:3", off, 5),
        ("3:2:900:9", off, 9),
        ("4:2:900:8", off, 9),
    ] {
        let page = page(&db, cursor);
        assert_eq!(page.gap(), gap, "{cursor}");
        assert_eq!(page.indexes(), (first..=8).collect::<Vec<_>>(), "{cursor}");
        assert!(page.eof);
    }
}

/// What a fenced primary exports ends with its epoch; the new one's log goes on from there.
#[test]
fn a_consumer_can_go_on_at_the_node_that_took_over() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (old, mut graph) = (a.primary(), Graph::new(1));
    graph.grow(&old, 20);
    let new = b.replica_of(&a);
    assert_eq!(new.replica_promote(false).unwrap().epoch, 2);
    let at_old = page(&old, "");
    assert_eq!((at_old.indexes().len(), at_old.head_log_index, at_old.eof), (20, 20, true));
    assert_eq!(code(graph.clone().try_commit(&old)), ErrorCode::StalePrimary);
    graph.grow(&new, 3);
    // The new node keeps the same frames elsewhere; the cursor's index says where to go on.
    for frame in at_old.raw() {
        let rest = page(&new, &frame.end().to_string());
        assert_eq!(rest.gap, None);
        assert_eq!(rest.indexes(), (frame.index + 1..=23).collect::<Vec<_>>());
    }
    assert_eq!(
        page(&new, "").raw().into_iter().take(20).map(|frame| frame.bytes).collect::<Vec<_>>(),
        at_old.raw().into_iter().map(|frame| frame.bytes).collect::<Vec<_>>()
    );
    assert_eq!(page(&old, "").indexes().len(), 20);
}

#[test]
fn a_cursor_below_what_is_kept_is_told_what_is_missing() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let options = machine.options(ReplicationRole::Primary);
    let options = options.replication_segment_max_bytes(1).replication_retention_min_entries(2);
    let (db, mut graph) = (machine.open(options).unwrap(), Graph::new(1));
    graph.grow(&db, 6);
    assert_eq!(db.primary_run_retention().unwrap().retained_floor, 4);
    for (cursor, gap, first) in [
        ("", None, 4),
        ("1:3:900:3", None, 4),
        ("1:0:0:4", None, 4),
        ("1:2:900:2", Some(("below_floor", Some(3), Some(3))), 4),
        ("1:0:0:1", Some(("below_floor", Some(1), Some(3))), 4),
        ("1:5:900:5", None, 6),
    ] {
        let page = page(&db, cursor);
        assert_eq!((page.gap(), page.retained_floor), (gap, 4), "{cursor}");
        assert_eq!(page.indexes(), (first..=6).collect::<Vec<_>>());
    }
    // Nothing is left of the log of a primary that was made a database of its own.
    db.close().unwrap();
    Database::detach_in(machine.env(), machine.db(), machine.options(ReplicationRole::Primary)).unwrap();
    let db = machine.open(machine.options(ReplicationRole::Disabled)).unwrap();
    graph.grow(&db, 2);
    db.close().unwrap();
    let db = machine.primary();
    assert_eq!(primary_status(&db).head_log_index, 8);
    let page = page(&db, "1:6:900:6");
    assert_eq!((page.gap(), page.frame_count, page.retained_floor), (Some(("below_floor", Some(7), Some(8))), 0, 9));
    assert_eq!(crate::naive::page(&db, "1:6:900:8").gap, None);
    graph.grow(&db, 1);
    assert_eq!(crate::naive::page(&db, "1:6:900:8").indexes(), [9]);
}

fn commit_small(db: &Database, n: u64) {
    db.transaction(|tx| {
        let node = tx.create_node(None)?;
        tx.set_node_prop(node, "n", n as i64)
    })
    .unwrap();
}

/// One segment of some megabytes: places in it are found, not scanned for.
#[test]
fn any_place_of_a_large_log_is_found() {
    let machine = Machine::new("primary", 1, SyncMode::Off);
    let options = OpenOptions::new().sync_mode(SyncMode::Off).background(false).auto_checkpoint(false);
    let options = options.replication_role(ReplicationRole::Primary);
    let meter = Meter::new(".klog");
    let open = || Database::open_in(meter.env(&machine.env()), machine.db(), options.clone()).unwrap();
    let db = open();
    for n in 1..=30_000 {
        commit_small(&db, n);
    }
    let all = frames(&segments(&machine));
    assert_eq!((all.len(), all[29_999].segment), (30_000, 1));
    let log_bytes = all[29_999].offset;
    assert!(log_bytes > 2 << 20, "{log_bytes} bytes");
    // Also by who has never read this log.
    for mut db in [db, open()] {
        let (mut rng, mut all_read) = (Rng::new(9), 0);
        let last = page(&db, "1:0:0:30000");
        assert_eq!(last.indexes(), [30_000]);
        for round in 0..300 {
            let index = 1 + rng.below(30_000);
            let (few, at) = (1 + rng.below(3) as usize, index as usize - 1);
            meter.take();
            let page = page_of(&db, &format!("1:0:0:{index}"), few, usize::MAX);
            assert!(page.raw() == all[at..].iter().take(few).cloned().collect::<Vec<_>>(), "at {index}");
            let read = meter.take();
            assert!(read < 700 << 10, "a page at {index} of 30,000 frames reads {read} bytes");
            all_read += read;
            if round == 150 {
                db.close().unwrap();
                db = open();
            }
        }
        // Places are remembered.
        assert!(all_read < 300 * (200 << 10), "{all_read} bytes read for 300 pages");
        // Page by page, each byte is read about once.
        meter.take();
        assert!(follow(&db, "", 100, usize::MAX) == all);
        let read = meter.take();
        assert!(read < 300 * (70 << 10) + 2 * log_bytes, "{read} bytes read of a log of {log_bytes}");
        db.close().unwrap();
    }
}

#[test]
fn a_consumer_that_follows_a_busy_primary_gets_every_frame_once() {
    for mode in MODES {
        let folder = Folder::new();
        let db = folder.primary("primary", mode);
        let commits = if mode == SyncMode::Full { 300 } else { 5000 };
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (1..=commits).for_each(|n| commit_small(&db, n));
                done.store(true, Ordering::Release);
            });
            let (mut next, mut cursor, mut head) = (1, String::new(), 0);
            loop {
                let ended = done.load(Ordering::Acquire);
                let page: Page = page_of(&db, &cursor, 64, 1 << 20);
                assert!(page.head_log_index >= head, "the head went back");
                head = page.head_log_index;
                assert_eq!(page.gap, None);
                for frame in page.raw() {
                    assert_eq!(frame.index, next);
                    next += 1;
                }
                assert!(next <= head + 1, "a page holds nothing beyond its head");
                assert_eq!(page.eof, next == head + 1);
                cursor = page.next_cursor.unwrap_or(cursor);
                if ended && page.eof {
                    break;
                }
            }
            assert_eq!(next, commits + 1);
        });
        assert_eq!(db.snapshot().unwrap().count_nodes(), commits);
    }
}

/// Retention runs while pages are read: a page has what it has, or says what is gone.
#[test]
fn pages_and_retention_do_not_trip_over_each_other() {
    let folder = Folder::new();
    let options = OpenOptions::new()
        .sync_mode(SyncMode::Off)
        .replication_role(ReplicationRole::Primary)
        .replication_segment_max_bytes(1000)
        .replication_retention_min_entries(3);
    let db = Database::open(folder.path("primary"), options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=1000 {
                commit_small(&db, n);
                if n % 10 == 0 {
                    db.primary_run_retention().unwrap();
                }
            }
            done.store(true, Ordering::Release);
        });
        let (mut next, mut cursor) = (1, String::from("1:0:0:1"));
        loop {
            let ended = done.load(Ordering::Acquire);
            let page = page_of(&db, &cursor, 5, usize::MAX);
            if let Some(gap) = page.gap() {
                // Where nothing came after it, there is no other cursor, and it is told again.
                assert!(gap.0 == "below_floor" && gap.1.unwrap() <= next, "{gap:?}, {next} is next");
                next = next.max(gap.2.unwrap() + 1);
            }
            for index in page.indexes() {
                assert_eq!(index, next);
                next += 1;
            }
            cursor = page.next_cursor.unwrap_or(cursor);
            if ended && page.eof {
                break;
            }
        }
        assert_eq!(next, 1001);
    });
}
