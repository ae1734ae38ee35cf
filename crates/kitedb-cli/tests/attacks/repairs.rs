//! What is in the way of a log, and what a repair leaves of it: what a check, a status and a follower say then is one answer.

use super::{stage::*, support::Folder};
use std::{
    fs,
    path::{Path, PathBuf},
};

const SHORT: [&str; 2] = ["--segment-max-bytes", "1024"];

fn numbered(from: u32, to: u32) -> String {
    (from..=to).map(|n| format!("hub c{n} KNOWS\n")).collect()
}

/// A primary `p` with short segments and 20 commits, closed, and its replica `r`, which has all of them.
fn short_pair() -> Folder {
    let folder = Folder::new();
    import(&folder, "p.kitedb", &numbered(1, 20), &[&["--role", "primary"][..], &SHORT].concat()).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    folder
}

/// As [`short_pair`]; `p` was killed after 40 commits.
fn killed_pair() -> Folder {
    let folder = short_pair();
    let mut feed = Feed::start(&folder, "p.kitedb", &SHORT);
    feed.feed(&folder, "p.kitedb", &numbered(21, 40), "1:40");
    feed.kill_nine();
    folder
}

fn log(folder: &Folder) -> PathBuf {
    folder.path().join("p.kitedb.replication")
}

fn segment(folder: &Folder, number: usize) -> PathBuf {
    log(folder).join(format!("segment-{number:020}.klog"))
}

/// Repairs `p` as the dry run says.
#[track_caller]
fn repair_as_told(folder: &Folder) {
    let dry = folder.run(&["repair", "p.kitedb", "--dry-run"]);
    assert_eq!(dry.code, 3, "{dry:?}");
    let told = changes_in(&dry.out);
    assert_eq!(told.len(), 1, "{dry:?}");
    let run = paste(folder, &told[0]).ok();
    assert!(!run.out.contains("remains"), "{run:?}");
}

/// Garbage takes the place of the head of a segment, or of all of it, and a repair does what its dry run said: once.
#[test]
fn a_repair_mends_a_log_whatever_is_in_the_place_of_a_segment() {
    for bytes in [8, 64, 512, 1536] {
        let folder = killed_pair();
        let path = segment(&folder, 9);
        let mut garbage = fs::read(&path).unwrap();
        garbage.resize(garbage.len().max(bytes), 0);
        garbage[..bytes].fill(b'G');
        fs::write(&path, garbage).unwrap();
        repair_as_told(&folder);
        for command in
            [&["check", "p.kitedb"][..], &["repair", "p.kitedb", "--dry-run"], &["primary", "status", "p.kitedb"]]
        {
            folder.run(command).ok();
        }
        import(&folder, "p.kitedb", &numbered(50, 60), &SHORT).ok();
        folder.run(&["check", "p.kitedb"]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
    }
}

/// What is no segment has the name of the next one: the log cannot go on, which is told before it is tried, and mended.
#[test]
fn what_has_the_name_of_the_next_segment_is_told_and_put_aside() {
    type Put = fn(&Path);
    let file: Put = |path| fs::write(path, "x").unwrap();
    let dir: Put = |path| fs::create_dir(path).unwrap();
    for put in [file, dir] {
        let folder = short_pair();
        let next = segment(&folder, segments(&folder, "p.kitedb") + 1);
        put(&next);
        let name = next.file_name().unwrap().to_str().unwrap();
        for command in
            [&["check", "p.kitedb"][..], &["primary", "status", "p.kitedb"], &["repair", "p.kitedb", "--dry-run"]]
        {
            let run = folder.run(command);
            assert!(run.code == 3 && run.out.contains(name) && run.out.contains("kitedb repair"), "{run:?}");
        }
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert!(run.code == 1 && run.err.contains(name) && run.err.contains("kitedb repair"), "{run:?}");
        folder.run(&["repair", "p.kitedb"]).ok();
        assert!(names(&log(&folder)).contains(&format!("{name}.damaged")));
        for command in [&["check", "p.kitedb"][..], &["primary", "promote", "p.kitedb"], &["check", "p.kitedb"]] {
            folder.run(command).ok();
        }
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    }
}

/// The segment is gone in which what the file holds ended, and more came after it.
#[test]
fn a_log_that_is_given_up_before_the_file_ends_leaves_no_hole() {
    let folder = killed_pair();
    fs::remove_file(segment(&folder, 5)).unwrap();
    repair_as_told(&folder);
    folder.run(&["check", "p.kitedb"]).ok();
    folder.run(&["repair", "p.kitedb"]).ok();
    import(&folder, "p.kitedb", &numbered(50, 50), &SHORT).ok();
    folder.run(&["primary", "status", "p.kitedb"]).ok();
    folder.run(&["replica", "status", "r.kitedb"]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    folder.run(&["check", "p.kitedb"]).ok();
    folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
}
