//! The source's log is damaged, cut short, or lacks a segment.

use crate::support_replication::{
    Graph, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, expect_one_damaged, primary_status,
    replica_status,
};
use kitedb_core::{
    Database, Error, ErrorCode, ErrorKind, ReplicaState, ReplicationRole, SyncMode,
    io::{Disk, sim::Crash},
};
use kitedb_transport::TransportJson;
use std::path::Path;

/// A primary with ten frames, one in each segment, and a replica that has three of them.
struct Scene {
    a: Machine,
    b: Machine,
    primary: Database,
    replica: Database,
    graph: Graph,
}

fn scene() -> Scene {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(1));
    graph.grow(&primary, 10);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
    Scene { a, b, primary, replica, graph }
}

/// Cuts a file to `len` bytes, as somebody outside would.
fn cut(machine: &Machine, path: &Path, len: usize) {
    let bytes = machine.disk.read(path).unwrap();
    machine.disk.write(path, &bytes[..len.min(bytes.len())]).unwrap();
}

/// The replica was told, says so, keeps what it has, and is well after a reseed.
#[track_caller]
fn expect_told_and_mended(scene: Scene, shown: u64) {
    let Scene { a, b, primary, replica, mut graph } = scene;
    let status = replica_status(&replica);
    assert!(status.last_error.is_some(), "{status:?}");
    assert!(matches!(status.state, ReplicaState::Stalled | ReplicaState::NeedsReseed), "{status:?}");
    assert_eq!(graph.expect(&replica), shown);
    assert!(replica.check().unwrap().is_clean());
    // It survives a reopen.
    let error = status.last_error.clone();
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    assert_eq!(replica_status(&replica).last_error, error);
    assert_eq!(replica_status(&replica).needs_reseed, status.needs_reseed);
    assert_eq!(graph.expect(&replica), shown);

    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
    graph.grow(&primary, 2);
    assert_eq!(catch_up(&replica), 2);
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
}

#[test]
fn a_frame_in_a_middle_segment_does_not_verify() {
    let scene = scene();
    scene.a.damage(&scene.a.segments()[6], 1 << 20);
    // What comes before it is applied, then the rest is reported.
    let error = scene.replica.replica_catch_up_once(100).unwrap_err();
    assert!(matches!(error.code(), ErrorCode::Corrupt | ErrorCode::NeedsReseed), "{error:?}");
    assert_eq!(error.kind(), ErrorKind::Reseed);
    assert!(error.to_string().contains("CRC mismatch") || error.to_string().contains("verify"), "{error}");
    assert_eq!(replica_status(&scene.replica).applied_log_index, 6);
    for _ in 0..3 {
        scene.replica.replica_catch_up_once(100).unwrap_err();
    }
    expect_told_and_mended(scene, 6);
}

#[test]
fn a_frame_in_the_active_segment_does_not_verify() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1 << 20);
    let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(2));
    graph.grow(&primary, 10);
    let replica = b.replica_of(&a);
    assert_eq!(replica.replica_catch_up_once(3).unwrap(), 3);
    let segment = a.segments().remove(0);
    a.damage(&segment, 1 << 20);
    let error = replica.replica_catch_up_once(100).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reseed, "{error:?}");
    assert_eq!(replica_status(&replica).applied_log_index, 9);
    expect_told_and_mended(Scene { a, b, primary, replica, graph }, 9);
}

/// Every byte of a segment, one after the other: told, or of no consequence; never another graph.
#[test]
fn no_damaged_byte_goes_unnoticed() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1 << 20);
    let (primary, mut graph) = (a.open(options).unwrap(), Graph::new(3));
    graph.grow(&primary, 4);
    let segment = a.segments().remove(0);
    let used = a.disk.read(&segment).unwrap().iter().rposition(|b| *b != 0).unwrap() as u64 + 1;
    let (mut told, mut shown) = (0, [0; 5]);
    for at in 0..used {
        a.disk.corrupt(&segment, at, 0x04).unwrap();
        let replica = Machine::new("other", 3 + at, SyncMode::Off).replica_of(&a);
        let result = replica.replica_catch_up_once(100);
        told += u64::from(result.is_err());
        let index = graph.expect(&replica);
        shown[index as usize] += 1;
        // Never caught up while a frame is missing.
        assert!(result.is_err() || index == 4, "byte {at}: {index} shown, and nothing said");
        primary.primary_remove_replica(&replica_status(&replica).replica_id).unwrap();
        a.disk.corrupt(&segment, at, 0x04).unwrap();
    }
    // But for the unused part of the header.
    assert!(told > (used - 400) * 3 / 4, "{told} of {used}");
    assert!(shown[1] > 0 && shown[2] > 0 && shown[3] > 0, "{shown:?}");
    let replica = b.replica_of(&a);
    catch_up(&replica);
    graph.expect_all(&replica);
}

#[test]
fn a_segment_was_cut_short() {
    for (segment, keep) in [(5, 600), (5, 512), (5, 100), (5, 0), (9, 600), (9, 0)] {
        let scene = scene();
        cut(&scene.a, &scene.a.segments()[segment], keep);
        let error = scene.replica.replica_catch_up_once(100).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Reseed, "{segment} cut to {keep}: {error:?}");
        expect_told_and_mended(scene, segment as u64);
    }
}

/// R30: the segment with the next frame is gone, and later ones are there.
#[test]
fn the_segment_with_the_next_frame_is_missing() {
    for reopened in [false, true] {
        let mut scene = scene();
        scene.a.disk.remove(&scene.a.segments()[3]).unwrap();
        if reopened {
            scene.replica.close().unwrap();
            scene.replica = scene.b.replica_of(&scene.a);
        }
        for _ in 0..3 {
            expect_error(scene.replica.replica_catch_up_once(100), ErrorCode::NeedsReseed, "needs reseed");
            expect_needs_reseed(&scene.replica);
        }
        expect_told_and_mended(scene, 3);
    }
}

#[test]
fn a_segment_further_on_is_missing() {
    let scene = scene();
    scene.a.disk.remove(&scene.a.segments()[7]).unwrap();
    expect_error(scene.replica.replica_catch_up_once(100), ErrorCode::NeedsReseed, "needs reseed");
    // Everything before it was applied.
    expect_needs_reseed(&scene.replica);
    expect_told_and_mended(scene, 7);
}

/// Retention begins with the oldest segment and never takes the newest: where that is not there, the folder is being moved,
/// restored or mounted, or somebody deleted it. The replica tries again, and goes on where it comes back.
#[test]
fn segments_that_are_absent_for_a_moment_are_no_reason_to_reseed() {
    // So many are left, and so many frames the replica has then.
    for (left, applied) in [(9, 9), (7, 7), (2, 3), (0, 3)] {
        for comes_back in [true, false] {
            let scene = scene();
            let absent: Vec<_> = scene.a.segments().split_off(left);
            let bytes: Vec<_> = absent.iter().map(|path| scene.a.disk.read(path).unwrap()).collect();
            absent.iter().for_each(|path| scene.a.disk.remove(path).unwrap());
            for _ in 0..3 {
                let error = scene.replica.replica_catch_up_once(100).unwrap_err();
                assert_eq!(error.code(), ErrorCode::SourceUnavailable, "{left} left: {error:?}");
                assert!(error.to_string().contains("reseed"), "{error}");
            }
            let status = replica_status(&scene.replica);
            assert_eq!((status.applied_log_index, status.needs_reseed), (applied, false), "{left} left: {status:?}");
            assert_eq!(status.state, ReplicaState::Stalled);
            if comes_back {
                absent.iter().zip(&bytes).for_each(|(path, bytes)| scene.a.disk.write(path, bytes).unwrap());
                assert_eq!(catch_up(&scene.replica) as u64, 10 - applied);
                scene.graph.expect_all(&scene.replica);
                expect_following(&scene.replica, &scene.primary);
            } else {
                expect_told_and_mended(scene, applied);
            }
        }
    }
}

/// It was not let go of. A replica that needs it is told what is damaged, and so is who exports the log.
#[test]
fn a_damaged_segment_header_is_never_told_as_retention() {
    for (nth, has) in [(0, 0), (3, 3), (6, 3), (9, 3)] {
        let scene = scene();
        let damaged = scene.a.segments()[nth].clone();
        scene.a.disk.corrupt(&damaged, 20, 0x10).unwrap();
        // Nobody who has seen the header before.
        scene.replica.close().unwrap();
        let other = Machine::new("other", 3, SyncMode::Full);
        let replica = if has == 0 { &other } else { &scene.b }.replica_of(&scene.a);
        let told = |error: Error| {
            assert_eq!(error.code(), ErrorCode::Corrupt, "segment {nth}: {error:?}");
            assert!(error.to_string().contains(damaged.to_str().unwrap()), "{error}");
        };
        for _ in 0..3 {
            told(replica.replica_catch_up_once(100).unwrap_err());
        }
        let status = replica_status(&replica);
        assert_eq!((status.applied_log_index, status.needs_reseed), (nth as u64, false), "{status:?}");
        let cursor = (nth > 0).then(|| format!("1:0:0:{}", nth + 1));
        told(scene.primary.primary_export_log_transport_json(cursor.as_deref(), 1, 1 << 20, true).unwrap_err());
        let fault = primary_status(&scene.primary).log_fault.unwrap();
        assert!(fault.contains(damaged.to_str().unwrap()), "{fault}");
        // With a sound copy of it all is well.
        scene.a.disk.corrupt(&damaged, 20, 0x10).unwrap();
        catch_up(&replica);
        scene.graph.expect_all(&replica);
        assert_eq!(primary_status(&scene.primary).log_fault, None);
    }
}

/// What is behind a replica cannot hurt it.
#[test]
fn damage_to_segments_that_it_has_does_not_matter() {
    let scene = scene();
    let segments = scene.a.segments();
    scene.a.damage(&segments[0], 1 << 20);
    cut(&scene.a, &segments[1], 40);
    assert_eq!(catch_up(&scene.replica), 7);
    scene.graph.expect_all(&scene.replica);
    expect_following(&scene.replica, &scene.primary);
}

/// A replica that follows is not hurt, either, by what is put in the place of segments that it has.
#[test]
fn the_primary_itself_goes_on_after_damage_to_what_it_has_folded() {
    let Scene { a, primary, mut graph, .. } = scene();
    primary.checkpoint().unwrap();
    let damaged = a.segments()[4].clone();
    a.damage(&damaged, 1 << 20);
    graph.grow(&primary, 2);
    expect_one_damaged(&primary, &damaged);
    let a = a.restart(Crash::Kill);
    drop(primary);
    let options = a.options(ReplicationRole::Primary).replication_retention_min_entries(0);
    let primary = a.open(options).unwrap();
    assert_eq!(graph.expect(&primary), graph.head());
    expect_one_damaged(&primary, &damaged);
    graph.grow(&primary, 1);
    // The replica would have needed it: it is let go of with that one.
    let id = primary_status(&primary).replica_lags[0].replica_id.clone();
    assert!(primary.primary_remove_replica(&id).unwrap());
    primary.primary_run_retention().unwrap();
    graph.expect_all(&primary);
}

/// As the contract has it: a frame that is cut short, or gone, is a truncated segment; another one has a wrong checksum.
#[test]
fn a_primary_whose_segment_was_truncated_says_so_when_it_is_opened() {
    for keep in [600, 512, 1] {
        let Scene { a, primary, .. } = scene();
        let a = a.restart(Crash::Kill);
        drop(primary);
        let segment = a.segments()[9].clone();
        match keep {
            1 => a.damage(&segment, 1 << 20),
            _ => cut(&a, &segment, keep),
        }
        let phrase = if keep == 1 { "CRC mismatch" } else { "truncated replication segment" };
        let error = expect_error(a.try_primary(), ErrorCode::Corrupt, phrase);
        assert_eq!(error.to_string().contains("truncated"), keep > 1, "{error}");
        // A reader is told the same.
        let reader = a.open(a.options(ReplicationRole::Primary).read_only(true)).unwrap();
        assert!(reader.stats().unwrap().damage.unwrap().contains(phrase));
    }
}

/// Recovery of the primary needs a damaged frame: it does not open for writing, it says why, and it can be read.
#[test]
fn a_primary_whose_recovery_needs_a_damaged_frame_can_be_read_and_its_replica_takes_over() {
    let Scene { a, b, primary, replica, mut graph } = scene();
    catch_up(&replica);
    replica.close().unwrap();
    let a = a.restart(Crash::Kill);
    drop(primary);
    a.damage(&a.segments()[4], 1 << 20);
    let error = expect_error(a.try_primary(), ErrorCode::Corrupt, "log index 5");
    assert!(error.to_string().contains("segment"), "{error}");
    let reader = a.open(a.options(ReplicationRole::Primary).read_only(true)).unwrap();
    assert_eq!(graph.expect(&reader), 4);

    // The replica has everything.
    let replica = b.replica_of(&a);
    graph.expect_all(&replica);
    let promotion = replica.replica_promote(false).or_else(|_| replica.replica_promote(true)).unwrap();
    assert_eq!(promotion.last_kept.log_index.0, 10);
    graph.grow(&replica, 2);
    graph.expect_all(&replica);
}

#[test]
fn the_floor_outran_the_replica() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let options = a.options(ReplicationRole::Primary).replication_segment_max_bytes(1);
    let (primary, mut graph) = (a.open(options.replication_retention_min_entries(2)).unwrap(), Graph::new(4));
    graph.grow(&primary, 3);
    let replica = b.replica_of(&a);
    catch_up(&replica);
    primary.primary_remove_replica(&replica_status(&replica).replica_id).unwrap();
    graph.grow(&primary, 7);
    let floor = primary.primary_run_retention().unwrap().retained_floor;
    assert_eq!(floor, 8);
    let error = expect_error(replica.replica_catch_up_once(100), ErrorCode::NeedsReseed, "below retained floor");
    assert!(error.to_string().contains("needs reseed") && error.to_string().contains("8"), "{error}");
    expect_needs_reseed(&replica);
    assert_eq!(primary_status(&primary).retained_floor, 8);
    expect_told_and_mended(Scene { a, b, primary, replica, graph }, 3);
}

/// The header of the segment in which an epoch began: pulls used to return nothing, in silence, as if that epoch had
/// not begun.
#[test]
fn the_header_of_the_first_segment_of_an_epoch_is_damaged() {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(5));
    graph.grow(&primary, 5);
    let replica = b.replica_of(&a);
    primary.primary_promote_to_next_epoch().unwrap();
    graph.grow(&primary, 3);
    a.disk.corrupt(a.segments().last().unwrap(), 20, 0x10).unwrap();
    let error = replica.replica_catch_up_once(100).and_then(|_| replica.replica_catch_up_once(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Reseed, "{error:?}");
    expect_told_and_mended(Scene { a, b, primary, replica, graph }, 5);
}
