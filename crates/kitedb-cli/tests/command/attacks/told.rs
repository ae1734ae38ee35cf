//! What the commands say of a node that cannot go on, before anybody tries it, and with which code they end.

use super::{stage::*, support::Folder, support::Run};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

const TINY: [&str; 2] = ["--segment-max-bytes", "300"];

fn status(folder: &Folder, db: &str) -> (i32, Json) {
    let run = folder.run(&["replica", "status", db, "--json"]);
    (run.code, serde_json::from_str(&run.out).unwrap())
}

fn follow_once(folder: &Folder, db: &str) -> Run {
    folder.run(&["replica", "follow", db, "--once"])
}

/// The log of `db` keeps nothing but its newest segment.
fn let_go(folder: &Folder, db: &str) {
    let windows = ["--retention-min-entries", "0", "--retention-max-bytes", "1"];
    folder.run(&[&["primary", "retention", db], &windows[..]].concat()).ok();
}

/// Each of the nodes has a fault of that kind.
#[track_caller]
fn expect_fault(folder: &Folder, db: &str, kind: &str) -> String {
    let (code, found) = status(folder, db);
    assert_eq!((code, found["source_fault"].as_str()), (3, Some(kind)), "{db}: {found}");
    found["fault"].as_str().unwrap().to_owned()
}

/// `c` follows `r`, which follows the primary `p`; `p` has let go of what `r` needs.
#[test]
fn the_end_of_a_chain_says_that_a_node_before_it_cannot_go_on() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
    replica(&folder, "bootstrap", "d.kitedb", "c.kitedb").ok();
    import(&folder, "p.kitedb", &lines("x", 23), &TINY).ok();
    let_go(&folder, "p.kitedb");
    // Nobody has tried it yet.
    for tried in [false, true] {
        for db in ["c.kitedb", "d.kitedb"] {
            let fault = expect_fault(&folder, db, "halted");
            assert!(fault.contains("r.kitedb"), "{tried}: {fault}");
        }
        assert_eq!(follow_once(&folder, "r.kitedb").code, 3);
    }
    let run = follow_once(&folder, "c.kitedb");
    assert!(run.code == 3 && run.out.contains("orphaned"), "{run:?}");
    // What it names is run: all go on.
    folder.run(&["replica", "reseed", "r.kitedb"]).ok();
    for db in ["c.kitedb", "d.kitedb"] {
        folder.run(&["replica", "reseed", db]).ok();
    }
    for db in ["c.kitedb", "d.kitedb"] {
        assert_eq!(status(&folder, db).0, 0);
    }
}

/// The file of its source, a replica or the primary, is an older copy: it does not go on before that is mended.
#[test]
fn a_replica_of_a_node_whose_file_is_an_older_copy_says_so() {
    for (db, of) in [("c.kitedb", "r.kitedb"), ("r.kitedb", "p.kitedb")] {
        let folder = pair();
        replica(&folder, "bootstrap", "c.kitedb", "r.kitedb").ok();
        let (path, old) = (folder.path().join(of), folder.path().join("old"));
        copy(&path, &old);
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        catch_up(&folder, "c.kitedb", "r.kitedb").ok();
        assert_eq!(status(&folder, db).0, 0);
        // Into its own inode, so that it passes for no copy.
        fs::write(&path, fs::read(&old).unwrap()).unwrap();
        let fault = expect_fault(&folder, db, "unavailable");
        assert!(fault.contains("an older copy of the file"), "{fault}");
        // That replicas have as much is told besides.
        folder.run(&["repair", of]);
        assert_eq!(status(&folder, db).0, 0);
    }
}

fn segments_of(folder: &Folder, db: &str) -> Vec<PathBuf> {
    let log = folder.path().join(format!("{db}.replication"));
    names(&log).iter().filter(|name| name.starts_with("segment-")).map(|name| log.join(name)).collect()
}

/// A primary `p` of whose log a segment is gone that its replica `r` needs: one amid them, or the last one.
fn with_a_hole(last: bool) -> (Folder, PathBuf, Vec<u8>) {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("x", 20), &TINY).ok();
    let segments = segments_of(&folder, "p.kitedb");
    let gone = if last { &segments[segments.len() - 1] } else { &segments[3] };
    let bytes = fs::read(gone).unwrap();
    fs::remove_file(gone).unwrap();
    (folder, gone.clone(), bytes)
}

/// Both ends say so, before it is tried; and put back, all is well.
#[test]
fn a_hole_in_the_log_of_a_source_is_told_at_both_ends() {
    for last in [false, true] {
        let (folder, gone, bytes) = with_a_hole(last);
        let fault = expect_fault(&folder, "r.kitedb", "hole");
        assert!(fault.contains("p.kitedb") && fault.contains("log index"), "{fault}");
        assert_eq!(status(&folder, "r.kitedb").1["needs_reseed"], !last);
        let run = folder.run(&["primary", "status", "p.kitedb", "--json"]);
        let found: Json = serde_json::from_str(&run.out).unwrap();
        assert_eq!((run.code, &found["replica_lags"][0]["hold"]), (3, &"lost".into()), "{found}");
        fs::write(&gone, bytes).unwrap();
        assert_eq!(status(&folder, "r.kitedb").0, 0);
        folder.run(&["primary", "status", "p.kitedb"]).ok();
        follow_once(&folder, "r.kitedb").ok();
    }
}

/// What a replica has of before the hole is no fault of what it needs.
#[test]
fn a_hole_before_what_a_replica_needs_is_none_of_its_faults() {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("x", 20), &TINY).ok();
    follow_once(&folder, "r.kitedb").ok();
    import(&folder, "p.kitedb", &lines("y", 2), &TINY).ok();
    fs::remove_file(&segments_of(&folder, "p.kitedb")[3]).unwrap();
    assert_eq!(status(&folder, "r.kitedb").0, 0);
    let run = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &found["replica_lags"][0]["hold"]), (3, &"held".into()), "{found}");
    follow_once(&folder, "r.kitedb").ok();
}

/// The log of its source no longer begins with the first commit, and its copy waits for the source's process.
#[test]
fn a_first_bootstrap_that_is_under_way_says_so_whatever_its_source_still_has() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", &lines("x", 10), &[&["--role", "primary"], &TINY[..]].concat()).ok();
    let mut running = Feed::start(&folder, "p.kitedb", &TINY);
    running.feed(&folder, "p.kitedb", &lines("y", 10), "1:20");
    let_go(&folder, "p.kitedb");
    running.feed(&folder, "p.kitedb", &lines("z", 10), "1:30");
    // Only a newer checkpoint passes over that, for which the process is asked.
    let segments = segments_of(&folder, "p.kitedb");
    fs::remove_file(&segments[segments.len() - 2]).unwrap();
    let pid = Pid::from_raw(running.id().cast_signed()).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let bootstrap = ["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"];
    let mut process = folder.command(&bootstrap).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let look = || folder.run(&["replica", "status", "r.kitedb", "--json"]);
    // Not only about to begin.
    let is_under_way = |out: &str| out.contains("\"state\":\"bootstrapping\"") && out.contains("\"fault\":null");
    until("it is under way", || is_under_way(&look().out));
    let (run, metrics) = (look(), folder.run(&["metrics", "r.kitedb"]));
    kill_process(pid, Signal::CONT).unwrap();
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &found["state"], &found["fault"]), (0, &"bootstrapping".into(), &Json::Null), "{found}");
    let figure = |name: &str| metrics.out.lines().find(|line| line.starts_with(name)).map(ToOwned::to_owned);
    let reseed = figure("kitedb_replication_replica_needs_reseed").unwrap();
    assert!(reseed.ends_with(" 0"), "{reseed}");
    process.wait().unwrap();
    running.end();
}

/// The same, killed.
#[test]
fn a_first_bootstrap_that_was_cut_short_needs_no_reseed_whatever_its_source_still_has() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", &lines("x", 10), &[&["--role", "primary"], &TINY[..]].concat()).ok();
    folder.file("many.txt", lines("n", 20_000));
    folder.run(&["import", "p.kitedb", "many.txt", "--format", "edgelist"]).ok();
    let_go(&folder, "p.kitedb");
    let kitedb = env!("CARGO_BIN_EXE_kitedb");
    let line = format!("ulimit -f 512; ulimit -c 0; {kitedb} replica bootstrap r.kitedb --source-db p.kitedb");
    assert_ne!(paste(&folder, &line).code, 0);
    let (code, found) = status(&folder, "r.kitedb");
    assert_eq!((code, &found["state"], &found["needs_reseed"]), (3, &"bootstrapping".into(), &false.into()), "{found}");
    folder.run(&["replica", "bootstrap", "r.kitedb"]).ok();
    assert_eq!(status(&folder, "r.kitedb").0, 0);
}

/// It was moved to another disk, and a link leads there: for everybody, or for nobody.
#[test]
fn a_sidecar_that_was_moved_is_followed_through_its_link_by_every_command() {
    let folder = pair();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    for db in ["p.kitedb", "r.kitedb"] {
        let sidecar = folder.path().join(format!("{db}.replication"));
        fs::rename(&sidecar, logs.join(db)).unwrap();
        symlink(Path::new("logs").join(db), &sidecar).unwrap();
    }
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    follow_once(&folder, "r.kitedb").ok();
    for db in ["p.kitedb", "r.kitedb"] {
        folder.run(&["check", db]).ok();
        folder.run(&["repair", db, "--dry-run"]).ok();
        folder.run(&["role", db]).ok();
    }
    folder.run(&["primary", "status", "p.kitedb"]).ok();
    assert_eq!(status(&folder, "r.kitedb").0, 0);
    // A control file that is lost there is made anew there.
    fs::remove_file(logs.join("p.kitedb/control")).unwrap();
    folder.run(&["repair", "p.kitedb"]).ok();
    assert!(logs.join("p.kitedb/control").is_file());
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    import(&folder, "r.kitedb", "e f K\n", &[]).ok();
    assert!(folder.path().join("r.kitedb.replication").is_symlink());
}

/// A replica that took over; an older copy of its file, of when it was one, is put in its place.
#[test]
fn a_repair_of_an_older_copy_says_what_its_status_says() {
    let folder = pair();
    copy(&folder.path().join("r.kitedb"), &folder.path().join("old"));
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", &lines("new", 11), &[]).ok();
    fs::remove_file(folder.path().join("r.kitedb")).unwrap();
    copy(&folder.path().join("old"), &folder.path().join("r.kitedb"));
    for more in [&["--dry-run"][..], &[], &[]] {
        let run = folder.run(&[&["repair", "r.kitedb"], more].concat());
        assert!(
            run.code == 3 && run.out.contains("kitedb role r.kitedb") | run.out.contains("primary --moved"),
            "{run:?}"
        );
    }
    assert_eq!(folder.run(&["primary", "status", "r.kitedb"]).code, 3);
}

/// A monitor's `grep -q` ends as soon as it has seen enough.
#[test]
fn a_code_does_not_depend_on_who_reads_the_output() {
    let (folder, ..) = with_a_hole(false);
    for command in [
        &["primary", "status", "p.kitedb"][..],
        &["primary", "status", "p.kitedb", "--json"],
        &["replica", "status", "r.kitedb"],
        &["check", "p.kitedb"],
        &["replica", "follow", "r.kitedb", "--once"],
        &["verify", "p.kitedb", "r.kitedb"],
        &["primary", "retention", "none.kitedb"],
        &["stats", "p.kitedb"],
        &["metrics", "p.kitedb"],
    ] {
        let read = folder.run(command).code;
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let unread = folder.command(command).stdout(writer).stderr(Stdio::null()).status().unwrap();
        assert_eq!(unread.code(), Some(read), "{command:?}");
    }
}

/// A follower whose output nobody reads any more ends as a signal ends it.
#[test]
fn a_follower_whose_reader_is_gone_ends_with_the_code_of_its_state() {
    for faulty in [false, true] {
        let folder = if faulty { with_a_hole(false).0 } else { pair() };
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut command = folder.command(&["replica", "follow", "r.kitedb"]);
        let code = command.stdout(writer).stderr(Stdio::null()).status().unwrap().code();
        assert_eq!(code, Some(if faulty { 3 } else { 0 }));
    }
}

/// The new source cannot take it on from where it is, and the old one is gone.
#[test]
fn a_replica_that_needs_a_reseed_from_a_source_that_it_was_told_says_which() {
    let folder = pair();
    replica(&folder, "bootstrap", "q.kitedb", "p.kitedb").ok();
    import(&folder, "p.kitedb", &lines("x", 20), &TINY).ok();
    let follow = ["replica", "follow", "q.kitedb", "--once"];
    folder.run(&[&follow[..], &TINY].concat()).ok();
    let_go(&folder, "q.kitedb");
    for name in ["p.kitedb", "p.kitedb.replication"] {
        fs::rename(folder.path().join(name), folder.path().join(format!("gone {name}"))).unwrap();
    }
    let run = folder.run(&["replica", "follow", "r.kitedb", "--source-db", "q.kitedb", "--once"]);
    assert!(run.code == 3 && run.err.contains("needs reseed"), "{run:?}");
    let shown = folder.run(&["replica", "status", "r.kitedb"]);
    for text in [&run.err, &shown.out] {
        let all = commands_in(text);
        let reseed = all.iter().find(|words| words.contains(&"reseed")).unwrap_or_else(|| panic!("{text}"));
        assert!(reseed.contains(&"--source-db") && reseed.last().unwrap().ends_with("q.kitedb"), "{text}");
    }
    let reseeds = changes_in(&shown.out);
    let line = reseeds.iter().find(|line| line.contains(" reseed ")).unwrap();
    // No primary is at the end of that way.
    assert_eq!(paste(&folder, line).code, 3);
    assert!(knows(&folder, "r.kitedb", "x1"));
}

/// Neither an import nor a bootstrap makes a file beside the log that was left: its replica takes over from that, if told.
#[test]
fn a_file_that_is_gone_from_its_log_is_led_on_by_a_replica() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    fs::remove_file(folder.path().join("p.kitedb")).unwrap();
    for command in [&["primary", "status", "p.kitedb"][..], &["check", "p.kitedb"], &["stats", "p.kitedb"]] {
        let run = folder.run(command);
        assert!(run.code == 1 && run.err.contains("kitedb replica promote REPLICA"), "{run:?}");
        assert!(!run.err.contains("kitedb import") && !run.err.contains("replica bootstrap"), "{run:?}");
    }
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    assert!(knows(&folder, "r.kitedb", "c"));
    // Where nothing is left, it is as ever.
    let run = folder.run(&["primary", "status", "none.kitedb"]);
    assert!(run.code == 1 && run.err.contains("kitedb import"), "{run:?}");
}

/// Whether a pull meets it or a look: the same words, the same code.
#[test]
fn a_source_that_cannot_be_followed_is_told_in_one_way() {
    type Loss = fn(&Path);
    let losses: [(&str, Loss); 5] = [
        ("unavailable", |p| fs::remove_file(p.join("p.kitedb.replication/control")).unwrap()),
        ("unavailable", |p| fs::remove_dir_all(p.join("p.kitedb.replication")).unwrap()),
        ("missing", |p| fs::remove_file(p.join("p.kitedb")).unwrap()),
        ("missing", |p| {
            fs::remove_file(p.join("p.kitedb")).unwrap();
            fs::remove_dir_all(p.join("p.kitedb.replication")).unwrap();
        }),
        ("stand_alone", |p| {
            fs::remove_file(p.join("p.kitedb")).unwrap();
            fs::remove_dir_all(p.join("p.kitedb.replication")).unwrap();
            fs::rename(p.join("s.kitedb"), p.join("p.kitedb")).unwrap();
        }),
    ];
    for (kind, lose) in losses {
        let folder = pair();
        import(&folder, "s.kitedb", "a b K\n", &[]).ok();
        lose(folder.path());
        let (code, found) = status(&folder, "r.kitedb");
        assert_eq!((code, found["source_fault"].as_str()), (3, Some(kind)), "{found}");
        let fault = found["fault"].as_str().unwrap().to_owned();
        let run = follow_once(&folder, "r.kitedb");
        assert_eq!(run.code, 3, "{kind}: {run:?}");
        assert!(format!("{}{}", run.out, run.err).contains(&fault), "{kind}: {fault}: {run:?}");
        let (code, found) = status(&folder, "r.kitedb");
        assert!(code == 3 && found["fault"].as_str().unwrap().contains(&fault), "{found}");
    }
}

/// The log let go of what a replica needs next: a status of either end is a fault, and what it tells leads out.
#[test]
fn a_replica_that_its_source_let_go_of_is_a_fault_at_both_ends() {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("x", 23), &TINY).ok();
    let_go(&folder, "p.kitedb");
    let (code, replica) = status(&folder, "r.kitedb");
    assert_eq!((code, &replica["needs_reseed"]), (3, &true.into()), "{replica}");
    let run = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    let found: Json = serde_json::from_str(&run.out).unwrap();
    assert_eq!((run.code, &found["replica_lags"][0]["hold"]), (3, &"lost".into()), "{found}");
    let fault = found["fault"].as_str().unwrap();
    assert!(fault.contains("must be reseeded") && fault.contains("r.kitedb"), "{fault}");
    let shown = folder.run(&["primary", "status", "p.kitedb"]);
    let reseed = changes_in(&shown.out).into_iter().find(|line| line.contains("replica reseed")).unwrap();
    assert_eq!(paste(&folder, &reseed).code, 0, "{reseed}");
    folder.run(&["primary", "status", "p.kitedb"]).ok();
    assert_eq!(status(&folder, "r.kitedb").0, 0);
}
