//! Damaged, truncated and missing segments: a page holds only frames that verify, ends where one does not, and never
//! passes over one in silence.

use crate::{
    naive::{RawFrame, follow, page, page_of},
    segments::{frames, segments},
    support_replication::{Graph, Machine, expect_error},
};
use kitedb_core::{
    Database, ErrorCode, SyncMode,
    io::{Disk, OpenMode},
};
use kitedb_transport::TransportJson;
use std::path::PathBuf;

fn grown() -> (Machine, Database, Graph, Vec<RawFrame>) {
    let machine = Machine::new("primary", 5, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(5));
    graph.grow(&db, 60);
    let all = frames(&segments(&machine));
    assert!(machine.segments().len() > 4);
    (machine, db, graph, all)
}

fn path_of(machine: &Machine, frame: &RawFrame) -> PathBuf {
    machine.sidecar().join(format!("segment-{:020}.klog", frame.segment))
}

#[track_caller]
fn expect_refused(db: &Database, cursor: &str) {
    for include_payload in [true, false] {
        let result = db.primary_export_log_transport_json(Some(cursor), 9, 1 << 20, include_payload);
        let error = result.expect_err("must fail");
        assert!(error.to_string().contains("CRC mismatch"), "{error:?}");
    }
}

/// In each part of a frame: its checksum, its length, its number, its payload.
#[test]
fn a_damaged_frame_ends_the_page_before_it_and_no_page_begins_with_it() {
    for part in [0, 5, 17, 60] {
        for at in [0, 7, 31, 58] {
            let (machine, db, _graph, all) = grown();
            let frame = &all[at];
            // Warm, so that what was read before the damage does not help.
            assert!(follow(&db, "", 10, usize::MAX) == all);
            machine.disk.corrupt(path_of(&machine, frame), frame.offset + part, 0x40).unwrap();
            for db in [db, machine.primary()] {
                if at > 0 {
                    let before = page(&db, "");
                    assert!(before.raw() == all[..at], "damage at byte {part} of frame {}", frame.index);
                    assert!(!before.eof);
                    expect_refused(&db, &before.next_cursor.unwrap());
                }
                expect_refused(&db, &format!("1:0:0:{}", frame.index));
                // Who has it already is not troubled by it.
                assert!(
                    page(&db, &frame.end().to_string()).raw() == all[at + 1..],
                    "byte {part} of frame {}",
                    frame.index
                );
                let far = all.len() - 1;
                assert!(page(&db, &all[far - 1].end().to_string()).raw() == all[far..]);
            }
        }
    }
}

#[test]
fn a_truncated_segment_is_an_error_and_no_end() {
    let (machine, db, _graph, all) = grown();
    let at = 25;
    let file = machine.disk.open(&path_of(&machine, &all[at]), OpenMode::ReadWrite).unwrap();
    file.set_len(all[at].offset + 20).unwrap();
    let before = page(&db, "");
    assert!(before.raw() == all[..at] && !before.eof);
    let error = db.primary_export_log_transport_json(before.next_cursor.as_deref(), 9, 1 << 20, true).unwrap_err();
    assert!(error.to_string().contains("replication frame truncated"), "{error}");
    let next_segment = all.iter().position(|frame| frame.segment > all[at].segment).unwrap();
    assert!(page(&db, &all[next_segment - 1].end().to_string()).raw() == all[next_segment..]);
}

#[test]
fn a_missing_segment_is_told_once_and_passed_over() {
    let (machine, db, _graph, all) = grown();
    let gone = all[30].segment;
    let (first, last) = (
        all.iter().position(|frame| frame.segment == gone).unwrap(),
        all.iter().rposition(|frame| frame.segment == gone).unwrap(),
    );
    machine.disk.remove(&path_of(&machine, &all[30])).unwrap();
    for db in [db, machine.primary()] {
        let before = page(&db, "");
        assert!(before.raw() == all[..first]);
        assert!(!before.eof && before.gap.is_none());
        for (cursor, missing) in [(before.next_cursor.unwrap(), first), (all[first].end().to_string(), first + 1)] {
            let after = page(&db, &cursor);
            if missing <= last {
                let gap = ("missing_segment", Some(all[missing].index), Some(all[last].index));
                assert_eq!(after.gap(), Some(gap));
            }
            assert!(after.raw() == all[last + 1..] && after.eof);
        }
        let after = page_of(&db, &all[last].end().to_string(), 1, usize::MAX);
        assert_eq!((after.gap, after.frame_count), (None, 1));
    }
}

#[test]
fn a_missing_last_segment_is_an_error() {
    let (machine, db, _graph, all) = grown();
    let last = all.last().unwrap();
    machine.disk.remove(&path_of(&machine, last)).unwrap();
    let first = all.iter().position(|frame| frame.segment == last.segment).unwrap();
    let before = page(&db, "");
    assert!(before.raw() == all[..first] && !before.eof);
    let result = db.primary_export_log_transport_json(before.next_cursor.as_deref(), 9, 1 << 20, true);
    expect_error(result, ErrorCode::Corrupt, "removed");
}
