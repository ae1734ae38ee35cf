//! A file that does not name the log beside it, which is its own: an older copy of it was put back, or the newest of its headers is
//! damaged. What is in that log is told of, nothing is committed past it, and a fence in it holds.

use super::{
    stage::{self, Stage, add, add_many, disabled, nothing_said, open_and_add, primary, rename_database, replica_of},
    support_replication::{Machine, catch_up, digest, folder::sidecar_of, write},
};
use kitedb_core::{
    Database, ErrorCode, GraphRead, OpenOptions, RepairOptions, ReplicationRole, SyncMode, io::sim::Crash,
};
use std::{fs, path::Path};

/// Where a bit is flipped in each header slot.
const SLOTS: [u64; 2] = [40, 4096 + 40];

/// What a file may be opened as by who does not know what it is.
fn openings(a: &Machine) -> Vec<OpenOptions> {
    let said = [ReplicationRole::Primary, ReplicationRole::Disabled].map(|role| a.options(role));
    [vec![nothing_said()], said.to_vec()].concat()
}

/// Whatever it is opened as, nothing is committed; and who reads it is told that something is missing.
#[track_caller]
fn expect_told(a: &Machine, what: &str) {
    for options in openings(a) {
        let error = a.open(options.clone()).and_then(|db| write(&db)).expect_err(what);
        let codes = [ErrorCode::LogMismatch, ErrorCode::StalePrimary, ErrorCode::RoleMismatch, ErrorCode::FilesMoved];
        assert!(codes.contains(&error.code()), "{what}: {error:?}");
    }
    let db = a.open(nothing_said().read_only(true)).unwrap();
    let damage = db.damage().unwrap_or_else(|| panic!("{what}: nothing is told"));
    assert!(damage.to_string().contains("does not name"), "{what}: {damage}");
    assert!(!db.check().unwrap().is_clean(), "{what}");
    assert!(a.open(nothing_said().read_only(true).require_complete(true)).is_err(), "{what}");
}

#[test]
fn a_file_of_before_it_led_commits_nothing_beside_the_log_that_it_led() {
    for fenced in [false, true] {
        let stage = Stage::new();
        let path = stage.stand_alone("n.kitedb");
        let older = fs::read(&path).unwrap();
        open_and_add(&path, primary(), "led").unwrap();
        let replica = stage.replica("r.kitedb", &path);
        open_and_add(&path, primary(), "more").unwrap();
        let replica = Database::open(&replica, replica_of(&path)).unwrap();
        catch_up(&replica);
        if fenced {
            assert!(replica.replica_promote(false).unwrap().source_fenced);
        }
        // Over it, and in its place.
        for in_place in [true, false] {
            if !in_place {
                fs::remove_file(&path).unwrap();
            }
            fs::write(&path, &older).unwrap();
            for options in [nothing_said(), primary(), disabled()] {
                let error = open_and_add(&path, options.clone(), "beside").unwrap_err();
                assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
            }
            let db = Database::open(&path, nothing_said().read_only(true)).unwrap();
            let damage = db.damage().unwrap().to_string();
            assert!(damage.contains("does not name") && damage.contains("kitedb repair"), "{damage}");
            assert!(!db.check().unwrap().is_clean());
            let error = Database::open(&path, nothing_said().read_only(true).require_complete(true)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Corrupt, "{error:?}");
            assert_eq!(Database::detach(&path).unwrap_err().code(), ErrorCode::Corrupt);
        }
        fs::write(&path, &older).unwrap();
        // A repair gives it what it lacks. Who leads is told by the log.
        let done = Database::repair(&path, RepairOptions::new()).unwrap();
        assert!(done.done && done.put_aside.is_empty(), "{done:?}");
        let db = Database::open(&path, nothing_said()).unwrap();
        assert_eq!((db.replication_role(), digest(&db)), (ReplicationRole::Primary, digest(&replica)));
        let error = add(&db, "c").unwrap_err();
        // The file is another one than it led with, which its operator must say.
        assert_eq!(error.code(), ErrorCode::FilesMoved, "{error:?}");
    }
}

/// It became a primary and committed nothing as one: its log holds nothing that the file lacks, and a fence.
#[test]
fn a_fence_outlasts_the_file_of_before_it_led_where_nothing_else_is_in_the_log() {
    let (a, b) = (Machine::new("a", 1, SyncMode::Full), Machine::new("b", 2, SyncMode::Full));
    let db = a.open(a.options(ReplicationRole::Disabled)).unwrap();
    write(&db).unwrap();
    db.close().unwrap();
    let older = a.disk.read(a.db()).unwrap();
    let db = a.primary();
    let replica = b.replica_of(&a);
    replica.replica_bootstrap_from_snapshot().unwrap();
    assert!(replica.replica_promote(false).unwrap().source_fenced);
    db.close().unwrap();
    a.disk.write(a.db(), &older).unwrap();
    for options in openings(&a) {
        let error = a.open(options).and_then(|db| write(&db)).unwrap_err();
        // In the simulated disk a file that is written anew is another one.
        let codes = [ErrorCode::LogMismatch, ErrorCode::StalePrimary, ErrorCode::RoleMismatch, ErrorCode::FilesMoved];
        assert!(codes.contains(&error.code()), "{error:?}");
    }
    let db = a.open(nothing_said().read_only(true)).unwrap();
    assert!(db.primary_replication_status().unwrap().is_some_and(|status| status.fenced));
}

/// One bit of either header, of a primary that was killed in its first session, or in a later one.
#[test]
fn one_bit_of_a_header_never_makes_a_primary_a_database_of_before_it_led() {
    for (slot, later) in SLOTS.into_iter().flat_map(|slot| [(slot, false), (slot, true)]) {
        let (a, b) = (Machine::new("a", 1, SyncMode::Full), Machine::new("b", 2, SyncMode::Full));
        if later {
            let db = a.open(a.options(ReplicationRole::Disabled)).unwrap();
            write(&db).unwrap();
            db.close().unwrap();
        }
        let db = a.primary();
        for _ in 0..5 {
            write(&db).unwrap();
        }
        let whole = digest(&db);
        let (a, _killed) = (a.restart(Crash::Kill), db);
        a.disk.corrupt(a.db(), slot, 1).unwrap();
        let what = format!("slot at {slot}, later {later}");
        let db = a.open(nothing_said().read_only(true)).unwrap();
        assert_eq!(db.replication_role(), ReplicationRole::Primary, "{what}");
        assert!(db.damage().is_some() || digest(&db) == whole, "{what}: commits are gone in silence");
        drop(db);
        // Its replica takes over; from then on it commits nothing, whatever it is opened as.
        let replica = b.replica_of(&a);
        replica.replica_bootstrap_from_snapshot().unwrap();
        assert_eq!(digest(&replica), whole, "{what}");
        assert!(replica.replica_promote(false).unwrap().source_fenced, "{what}");
        for options in openings(&a) {
            assert!(a.open(options).and_then(|db| write(&db)).is_err(), "{what}");
        }
    }
}

/// One bit of either header, of a replica that was just copied from its source, in an empty file or over a database of its own.
#[test]
fn one_bit_of_a_header_never_makes_a_replica_what_was_there_before_it() {
    for (slot, over) in SLOTS.into_iter().flat_map(|slot| [(slot, false), (slot, true)]) {
        let (a, b) = (Machine::new("a", 1, SyncMode::Full), Machine::new("b", 2, SyncMode::Full));
        let source = a.primary();
        for _ in 0..3 {
            write(&source).unwrap();
        }
        if over {
            let db = b.open(b.options(ReplicationRole::Disabled)).unwrap();
            write(&db).unwrap();
            db.close().unwrap();
        }
        let replica = if over { b.overwritten_by(&a) } else { b.replica_of(&a) };
        replica.replica_bootstrap_from_snapshot().unwrap();
        replica.close().unwrap();
        b.disk.corrupt(b.db(), slot, 1).unwrap();
        let what = format!("slot at {slot}, over {over}");
        let db = b.open(nothing_said().read_only(true)).unwrap();
        assert_eq!((db.replication_role(), digest(&db)), (ReplicationRole::Replica, digest(&source)), "{what}");
        drop(db);
        for options in openings(&b) {
            assert!(b.open(options).and_then(|db| write(&db)).is_err(), "{what}");
        }
        write(&source).unwrap();
        let replica = b.replica_of(&a);
        catch_up(&replica);
        assert_eq!(digest(&replica), digest(&source), "{what}");
    }
}

/// One bit of the newest header of a database without a part in replication that was killed, or an older copy in its place.
#[test]
fn what_a_killed_database_committed_is_told_of_and_taken_back_by_a_repair() {
    for (slot, sessions) in
        [(Some(SLOTS[0]), 1), (Some(SLOTS[1]), 1), (Some(SLOTS[0]), 2), (Some(SLOTS[1]), 2), (None, 2)]
    {
        let mut a = Machine::new("a", 1, SyncMode::Full);
        let alone = a.options(ReplicationRole::Disabled);
        let mut older = Vec::new();
        for _ in 0..sessions {
            let db = a.open(alone.clone()).unwrap();
            db.checkpoint().unwrap();
            write(&db).unwrap();
            db.close().unwrap();
            older = a.disk.read(a.db()).unwrap();
        }
        let db = a.open(alone.clone()).unwrap();
        for _ in 0..5 {
            write(&db).unwrap();
        }
        let whole = digest(&db);
        let _killed;
        (a, _killed) = (a.restart(Crash::Kill), db);
        match slot {
            Some(slot) => a.disk.corrupt(a.db(), slot, 1).unwrap(),
            None => a.disk.write(a.db(), &older).unwrap(),
        }
        let what = format!("slot {slot:?}, {sessions} sessions");
        let seen = a.open(nothing_said().read_only(true)).unwrap();
        if seen.damage().is_none() {
            // It was the older one.
            assert_eq!(digest(&seen), whole, "{what}");
            continue;
        }
        drop(seen);
        expect_told(&a, &what);
        let done = Database::repair_in(a.env(), a.db(), RepairOptions::new()).unwrap();
        assert!(done.done && done.remains.is_empty() && done.put_aside.is_empty(), "{what}: {done:?}");
        let db = a.open(alone.clone()).unwrap();
        assert_eq!((digest(&db), db.snapshot().unwrap().count_nodes()), (whole, 5 + sessions), "{what}");
        write(&db).unwrap();
        db.close().unwrap();
        let db = a.open(alone).unwrap();
        assert!(db.check().unwrap().is_clean(), "{what}");
    }
}

/// Nothing is committed to an older file, whatever it is opened as, however many commits it holds; who reads it is told.
#[track_caller]
fn expect_older(path: &Path, what: &str) {
    for options in [nothing_said(), primary(), disabled()] {
        open_and_add(path, options, "beside").expect_err(what);
    }
    let db = Database::open(path, nothing_said().read_only(true)).unwrap();
    assert!(db.damage().is_some(), "{what}: nothing is told");
    assert!(!db.check().unwrap().is_clean(), "{what}");
    drop(db);
    // No repair takes the one for the other.
    let error = Database::repair(path, RepairOptions::new()).expect_err(what);
    assert!(error.to_string().contains("Put the newer file back"), "{what}: {error}");
    let db = Database::open(path, nothing_said().read_only(true)).unwrap();
    assert!(db.damage().is_some(), "{what}: after a repair that was refused nothing is told");
}

/// It led, gave commits up for those of the node that took over, and led again, by now with fewer commits than its earlier file has.
#[test]
fn the_file_of_an_earlier_life_commits_nothing_beside_the_log_of_the_later_one() {
    for in_place in [true, false] {
        let stage = Stage::new();
        let s = stage.leading("s.kitedb");
        let r = stage.replica("r.kitedb", &s);
        let db = Database::open(&s, primary()).unwrap();
        add_many(&db, "given up", 5);
        db.close().unwrap();
        let earlier = fs::read(&s).unwrap();
        let away = stage.path("away.kitedb");
        rename_database(&s, &away);
        let db = Database::open(&r, replica_of(&s)).unwrap();
        db.replica_promote(true).unwrap();
        add(&db, "kept").unwrap();
        db.close().unwrap();
        rename_database(&away, &s);
        let db = Database::open(&s, replica_of(&r).replication_overwrite(true)).unwrap();
        db.replica_reseed_from_snapshot().unwrap();
        db.replica_promote(false).unwrap();
        add(&db, "acknowledged").unwrap();
        db.close().unwrap();
        if !in_place {
            fs::remove_file(&s).unwrap();
        }
        fs::write(&s, &earlier).unwrap();
        expect_older(&s, "an earlier life");
    }
}

#[test]
fn the_file_of_before_it_was_a_replica_commits_nothing_beside_the_log_of_what_it_became() {
    for (leads, in_place) in [(false, true), (false, false), (true, true), (true, false)] {
        let stage = Stage::new();
        let s = stage.leading("s.kitedb");
        let keys: Vec<_> = (0..10).map(|n| format!("own {n}")).collect();
        let x = stage.closed("x.kitedb", primary(), &keys.iter().map(String::as_str).collect::<Vec<_>>());
        let own = fs::read(&x).unwrap();
        let db = Database::open(&x, replica_of(&s).replication_overwrite(true)).unwrap();
        db.replica_bootstrap_from_snapshot().unwrap();
        if leads {
            db.replica_promote(false).unwrap();
            add(&db, "acknowledged").unwrap();
        }
        db.close().unwrap();
        if !in_place {
            fs::remove_file(&x).unwrap();
        }
        fs::write(&x, &own).unwrap();
        expect_older(&x, &format!("leads {leads}"));
    }
}

/// The folder of the log is moved away, the file goes on alone, and the folder comes back.
#[test]
fn a_log_that_comes_back_beside_a_file_that_went_on_without_it_is_told() {
    let stage = Stage::new();
    let s = stage.stand_alone("s.kitedb");
    let before = fs::read(&s).unwrap();
    let db = Database::open(&s, primary()).unwrap();
    add_many(&db, "led", 3);
    db.close().unwrap();
    fs::write(&s, &before).unwrap();
    let aside = stage.path("aside");
    fs::rename(sidecar_of(&s), &aside).unwrap();
    let db = Database::open(&s, nothing_said()).unwrap();
    add_many(&db, "alone", 6);
    db.close().unwrap();
    fs::rename(&aside, sidecar_of(&s)).unwrap();
    expect_older(&s, "it came back");
}

#[test]
fn a_log_without_its_segments_counts_beside_an_older_file() {
    let stage = Stage::new();
    let s = stage.stand_alone("s.kitedb");
    let before = fs::read(&s).unwrap();
    let db = Database::open(&s, primary()).unwrap();
    add_many(&db, "led", 3);
    db.close().unwrap();
    for name in stage::names(&sidecar_of(&s)).iter().filter(|name| name.starts_with("segment-")) {
        fs::remove_file(sidecar_of(&s).join(name)).unwrap();
    }
    fs::write(&s, &before).unwrap();
    expect_older(&s, "without segments");
}

/// Its log lies elsewhere, which the file of before it led does not say: whoever names the place again is told.
#[test]
fn a_log_that_is_given_beside_an_older_file_that_went_on_is_not_written_over() {
    let stage = Stage::new();
    let logs = stage.folder("logs");
    let elsewhere = primary().replication_sidecar_path(logs.join("s"));
    let s = stage.stand_alone("s.kitedb");
    let before = fs::read(&s).unwrap();
    let db = Database::open(&s, elsewhere.clone()).unwrap();
    add_many(&db, "led", 3);
    db.close().unwrap();
    fs::write(&s, &before).unwrap();
    let held = stage::contents(&logs);
    let db = Database::open(&s, nothing_said()).unwrap();
    add_many(&db, "alone", 6);
    db.close().unwrap();
    let error = open_and_add(&s, elsewhere, "led again").unwrap_err();
    assert_eq!(error.code(), ErrorCode::LogMismatch, "{error:?}");
    assert!(stage::contents(&logs) == held, "its log is as it was");
}

/// `/proc/self/fd/7` of a file that was removed is a link to a name which it has no more, and which is nobody's.
#[test]
fn a_file_that_was_removed_is_not_made_anew_by_the_name_that_it_had() {
    use std::os::fd::AsRawFd;
    let stage = Stage::new();
    let path = stage.stand_alone("d.kitedb");
    let held = fs::File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let by_number = std::path::PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
    let error = Database::open(&by_number, nothing_said()).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound, "{error:?}");
    assert_eq!(stage::names(path.parent().unwrap()), [""; 0]);
}
