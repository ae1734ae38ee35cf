//! A node's own files are damaged. A replica opens all the same, read-only as ever, says so, and can be reseeded.

use crate::support_replication::{
    CRASHES, Graph, MODES, Machine, catch_up, expect_error, expect_following, expect_needs_reseed, expect_one_damaged,
    replica_status,
};
use kitedb_core::{
    Database, ErrorCode, ErrorKind, FollowerOptions, ReplicationRole, SyncMode,
    io::{Disk, sim::Crash},
};

/// A replica that was killed with ten frames, one in each segment, of which four are in its file.
struct Scene {
    a: Machine,
    b: Machine,
    primary: Database,
    graph: Graph,
}

fn killed() -> Scene {
    let (a, b) = (Machine::new("primary", 1, SyncMode::Full), Machine::new("replica", 2, SyncMode::Full));
    let (primary, mut graph) = (a.primary(), Graph::new(1));
    let replica = b.open_replica_of(&a, b.following(&a).replication_segment_max_bytes(1)).unwrap();
    graph.grow(&primary, 4);
    catch_up(&replica);
    replica.checkpoint().unwrap();
    graph.grow(&primary, 6);
    catch_up(&replica);
    let b = b.restart(Crash::Kill);
    drop(replica);
    Scene { a, b, primary, graph }
}

/// It opens, shows what it can, says what is wrong, refuses to go on, and is well after a reseed.
#[track_caller]
fn expect_opens_and_can_be_reseeded(scene: Scene, at_most: u64) {
    let Scene { a, b, primary, mut graph } = scene;
    let replica = b.replica_of(&a);
    expect_told(&replica);
    let shown = graph.expect(&replica);
    assert!((4..=at_most).contains(&shown), "{shown} is shown");
    expect_error(replica.begin(), ErrorCode::ReplicaReadOnly, "replica");
    let error = replica.replica_catch_up_once(10).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NeedsReseed, "{error:?}");
    expect_needs_reseed(&replica);
    assert_eq!(replica.replica_promote(false).unwrap_err().kind(), ErrorKind::Reseed);
    // It says the same after a reopen.
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    expect_told(&replica);
    assert_eq!(graph.expect(&replica), shown);

    replica.replica_reseed_from_snapshot().unwrap();
    graph.expect_all(&replica);
    expect_following(&replica, &primary);
    graph.grow(&primary, 3);
    assert_eq!(catch_up(&replica), 3);
    replica.close().unwrap();
    let replica = b.replica_of(&a);
    graph.expect_all(&replica);
    assert_eq!(catch_up(&replica), 0);
    expect_following(&replica, &primary);
}

#[track_caller]
fn expect_told(replica: &Database) {
    let status = replica_status(replica);
    assert!(status.needs_reseed && status.last_error.is_some(), "{status:?}");
}

#[test]
fn a_frame_that_recovery_needs_does_not_verify() {
    let scene = killed();
    scene.b.damage(&scene.b.segments()[6], 1 << 20);
    expect_opens_and_can_be_reseeded(scene, 6);
}

#[test]
fn a_segment_that_recovery_needs_is_missing() {
    let scene = killed();
    scene.b.disk.remove(&scene.b.segments()[6]).unwrap();
    expect_opens_and_can_be_reseeded(scene, 6);
}

#[test]
fn every_segment_is_missing() {
    let scene = killed();
    scene.b.segments().iter().for_each(|path| scene.b.disk.remove(path).unwrap());
    expect_opens_and_can_be_reseeded(scene, 4);
}

#[test]
fn a_damaged_replica_takes_a_crash_in_its_reseed() {
    for op in 1.. {
        let scene = killed();
        scene.b.damage(&scene.b.segments()[6], 1 << 20);
        let replica = scene.b.replica_of(&scene.a);
        scene.b.disk.crash_at(scene.b.disk.ops() + op);
        let done = replica.replica_reseed_from_snapshot();
        if !scene.b.disk.crashed() {
            done.unwrap();
            break;
        }
        for crash in CRASHES {
            let b = scene.b.restart(crash);
            let replica = b.try_replica_of(&scene.a).unwrap_or_else(|e| panic!("{op}, {crash:?}: {e:?}"));
            let shown = scene.graph.expect(&replica);
            assert!(shown >= 4, "{op}, {crash:?}: {shown}");
            replica.replica_reseed_from_snapshot().unwrap_or_else(|e| panic!("{op}, {crash:?}: {e:?}"));
            scene.graph.expect_all(&replica);
            assert!(!replica_status(&replica).needs_reseed);
        }
    }
}

fn remove_sidecar(machine: &Machine) {
    for path in machine.disk.paths().iter().filter(|path| path.starts_with(machine.sidecar())) {
        machine.disk.remove(path).unwrap();
    }
    machine.disk.remove_dir(&machine.sidecar()).unwrap();
}

fn remove_all(machine: &Machine) {
    remove_sidecar(machine);
    machine.disk.remove(&machine.db()).unwrap();
}

#[test]
fn the_sidecar_is_missing() {
    for clean in [false, true] {
        let scene = killed();
        if clean {
            scene.b.replica_of(&scene.a).close().unwrap();
        }
        remove_sidecar(&scene.b);
        if clean {
            // All of it is in the file: it goes on.
            let replica = scene.b.replica_of(&scene.a);
            scene.graph.expect_all(&replica);
            let mut graph = scene.graph.clone();
            graph.grow(&scene.primary, 2);
            assert_eq!(catch_up(&replica), 2);
            graph.expect_all(&replica);
        } else {
            expect_opens_and_can_be_reseeded(scene, 4);
        }
    }
}

#[test]
fn the_control_file_does_not_verify() {
    for at in [0, 8, 20, 40, 60, 64] {
        let scene = killed();
        scene.b.disk.corrupt(scene.b.sidecar().join("control"), at, 0x40).unwrap();
        let opened = scene.b.try_replica_of(&scene.a);
        match opened {
            Ok(replica) => {
                scene.graph.expect(&replica);
                if replica_status(&replica).needs_reseed {
                    replica.replica_reseed_from_snapshot().unwrap();
                }
                catch_up(&replica);
                scene.graph.expect_all(&replica);
                expect_following(&replica, &scene.primary);
            }
            Err(e) => panic!("a replica always opens, so that it can be reseeded: byte {at}: {e:?}"),
        }
    }
}

/// Damage to any part of its file is told, by the open, by `check`, or by whoever reads it; a reseed mends it.
#[test]
fn a_byte_of_its_file_does_not_verify() {
    let clean = |scene: &Scene| scene.b.replica_of(&scene.a).close().unwrap();
    let pristine = killed();
    clean(&pristine);
    let file = pristine.b.disk.read(pristine.b.db()).unwrap();
    let places: Vec<usize> = (1024..file.len()).step_by(97).filter(|at| file[*at] != 0).collect();
    assert!(places.len() > 10, "{} places", places.len());
    let mut mended = 0;
    for at in places {
        let scene = killed();
        clean(&scene);
        scene.b.disk.corrupt(scene.b.db(), at as u64, 0x20).unwrap();
        let replica = scene.b.try_replica_of(&scene.a).unwrap_or_else(|e| {
            // What names all else does not verify. Then there is nothing to keep: it begins anew.
            assert_eq!(e.kind(), ErrorKind::Reseed, "{e:?}");
            remove_all(&scene.b);
            scene.b.replica_of(&scene.a)
        });
        replica.replica_reseed_from_snapshot().unwrap();
        scene.graph.expect_all(&replica);
        expect_following(&replica, &scene.primary);
        mended += 1;
    }
    assert!(mended > 10, "{mended}");
}

/// A follower does not spin over it, and does not hide it.
#[test]
fn a_follower_on_a_damaged_replica_shows_what_is_wrong_until_the_reseed() {
    let scene = killed();
    scene.b.damage(&scene.b.segments()[6], 1 << 20);
    let replica = scene.b.replica_of(&scene.a);
    let quick = FollowerOptions::new().backoff_ms(1).backoff_max_ms(4).poll_ms(1);
    replica.start_follower(quick).unwrap();
    for _ in 0..20 {
        std::thread::sleep(std::time::Duration::from_millis(1));
        expect_told(&replica);
    }
    assert!(replica_status(&replica).follower_running);
    replica.replica_reseed_from_snapshot().unwrap();
    let token = scene.primary.last_commit_token().unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    replica.stop_follower().unwrap();
    scene.graph.expect_all(&replica);
    assert!(!replica_status(&replica).needs_reseed);
}

/// Reading is possible without being a replica, too.
#[test]
fn a_damaged_replica_opens_read_only_at_the_last_good_index() {
    let scene = killed();
    scene.b.damage(&scene.b.segments()[6], 1 << 20);
    let options = scene.b.following(&scene.a).read_only(true);
    let reader = scene.b.open_replica_of(&scene.a, options).unwrap();
    assert_eq!(scene.graph.expect(&reader), 6);
    assert!(!reader.check().unwrap().is_clean(), "it says what is missing");
    let reader = scene.b.open(scene.b.options(ReplicationRole::Disabled).read_only(true)).unwrap();
    assert!((4..=6).contains(&scene.graph.expect(&reader)));
}

/// What its frames did is in the file, so that nothing is lost; but the log ends in an older epoch then, in which no
/// commit counts any more.
#[test]
fn a_primary_whose_last_segment_has_lost_its_header_begins_another_epoch() {
    for mode in MODES {
        let machine = Machine::new("primary", 1, mode);
        let (primary, mut graph) = (machine.primary(), Graph::new(6));
        graph.grow(&primary, 4);
        primary.primary_promote_to_next_epoch().unwrap();
        graph.grow(&primary, 3);
        primary.checkpoint().unwrap();
        let machine = machine.restart(Crash::Kill);
        drop(primary);
        let segments = machine.segments();
        machine.disk.corrupt(&segments[1], 20, 0x10).unwrap();
        let primary = machine.primary();
        assert_eq!(graph.expect(&primary), 7);
        // After the one before it frames are missing, until that one is let go of.
        expect_one_damaged(&primary, &segments[0]);
        assert_eq!(graph.commit(&primary).to_string(), "3:8");
        expect_one_damaged(&primary, &segments[0]);
        primary.close().unwrap();
        let options = machine.options(ReplicationRole::Primary).replication_retention_min_entries(0);
        let primary = machine.open(options).unwrap();
        assert_eq!(primary.primary_run_retention().unwrap().pruned_segments, 1);
        graph.expect_all(&primary);
    }
}
