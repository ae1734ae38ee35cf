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

/// A new replica has no segment yet, and somebody puts another database's control file into its folder: a look names what puts that
/// aside, unharmed, and nothing else does.
#[test]
fn the_control_file_of_another_database_beside_no_segment_is_put_aside_by_a_repair() {
    for moved in [false, true] {
        let folder = pair();
        import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
        let log = folder.path().join("r.kitedb.replication");
        let foreign = folder.path().join("other.kitedb.replication/control");
        let bytes = fs::read(&foreign).unwrap();
        fs::remove_file(log.join("control")).unwrap();
        if moved {
            fs::rename(&foreign, log.join("control")).unwrap();
        } else {
            copy(&foreign, &log.join("control"));
        }
        for args in [
            &["role", "r.kitedb"][..],
            &["replica", "status", "r.kitedb"],
            &["replica", "follow", "r.kitedb", "--once"],
            &["replica", "reseed", "r.kitedb", "--source-db", "p.kitedb"],
        ] {
            let run = folder.run(args);
            assert!(format!("{}{}", run.out, run.err).contains("r.kitedb`)"), "{args:?}: {run:?}");
            assert_eq!(fs::read(log.join("control")).unwrap(), bytes, "{args:?}");
        }
        let run = folder.run(&["repair", "r.kitedb", "--dry-run"]);
        assert!(run.code == 3 && run.out.contains("that of another database"), "{run:?}");
        assert_eq!(fs::read(log.join("control")).unwrap(), bytes);
        let told = folder.run(&["replica", "follow", "r.kitedb", "--once"]).err;
        paste(&folder, &changes_in(&told)[0]).ok();
        assert_eq!(fs::read(log.join("control.damaged")).unwrap(), bytes);
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
        assert!(knows(&folder, "r.kitedb", "c"));
        folder.run(&["check", "r.kitedb"]).ok();
    }
}

/// The epoch that a repair names is the one in which the next commit is.
#[test]
fn a_repair_names_the_epoch_that_begins() {
    for role in ["disabled", "primary"] {
        for gone in [false, true] {
            let folder = Folder::new();
            let mut feed = Feed::start(&folder, "p.kitedb", &["--role", role]);
            feed.feed(&folder, "p.kitedb", &lines("n", 3), "1:3");
            feed.kill_nine();
            let log = folder.path().join(if role == "disabled" { "p.kitedb-wal" } else { "p.kitedb.replication" });
            if gone {
                names(&log).iter().filter(|name| name.starts_with("segment-")).for_each(|name| {
                    fs::remove_file(log.join(name)).unwrap();
                });
                if role == "disabled" {
                    fs::remove_dir_all(&log).unwrap();
                }
            } else {
                // Both records of the fence.
                let mut bytes = fs::read(log.join("control")).unwrap();
                bytes[36 * 8..48 * 8].iter_mut().for_each(|byte| *byte ^= 0x55);
                fs::write(log.join("control"), bytes).unwrap();
            }
            let planned = folder.run(&["repair", "p.kitedb", "--dry-run", "--json"]);
            let planned: serde_json::Value = serde_json::from_str(&planned.out).unwrap();
            let cut = planned["asks_for_cut_at"].as_str().map(str::to_owned);
            let more: Vec<&str> = cut.iter().flat_map(|cut| ["--cut-at", cut]).collect();
            let run = folder.run(&[&["repair", "p.kitedb", "--json"], &more[..]].concat());
            let done: serde_json::Value = serde_json::from_str(&run.out).unwrap();
            assert_eq!(done["steps"], planned["steps"], "{role}, {gone}");
            let told = done["steps"].to_string();
            if done["fenced"] == true {
                folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
            }
            let token = import(&folder, "p.kitedb", "x y K\n", &[]).json()["token"].as_str().unwrap().to_owned();
            let epoch = token.split(':').next().unwrap();
            let begins = told.split("let it begin epoch ").nth(1).map(|rest| &rest[..1]);
            assert!(begins.is_none_or(|begins| begins == epoch), "{role}, {gone}: {told}, and then {token}");
            assert_eq!(begins.is_some(), gone, "{role}, {gone}: {told}");
        }
    }
}

/// An older copy of the file lies over a log whose end was cut off: what is told is what can be had, and a dry run says by which word.
#[test]
fn an_older_file_over_a_log_that_was_cut_is_told_what_is_left_of_it() {
    let folder = pair();
    let (path, old) = (folder.path().join("p.kitedb"), fs::read(folder.path().join("p.kitedb")).unwrap());
    import(&folder, "p.kitedb", &lines("n", 4), &[]).ok();
    fs::write(&path, old).unwrap();
    let last = segment(&folder, segments(&folder, "p.kitedb"));
    fs::File::options().write(true).open(last).unwrap().set_len(900).unwrap();
    let shown = folder.run(&["primary", "status", "p.kitedb"]);
    let told = shown.out.contains("had those up to 5, of which only those up to 3 can be read");
    assert!(shown.code == 3 && told, "{shown:?}");
    let looks: Vec<_> = commands_in(&shown.out).into_iter().filter(|words| words.contains(&"repair")).collect();
    assert!(looks.iter().all(|words| words.contains(&"--dry-run")) && !looks.is_empty(), "{shown:?}");
    let planned = folder.run(&looks[0]);
    assert!(planned.code == 3 && planned.out.contains("would, with --cut-at 1:3:"), "{planned:?}");
    assert!(!planned.out.contains("would: "), "{planned:?}");
    let refused = folder.run(&["repair", "p.kitedb"]);
    assert!(refused.code == 1 && refused.err.contains("--cut-at 1:3"), "{refused:?}");
    let done = folder.run(&["repair", "p.kitedb", "--cut-at", "1:3"]).ok();
    let steps = |text: &str, head: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.trim().strip_prefix(head)?.to_owned())).collect()
    };
    assert_eq!(steps(&planned.out, "would, with --cut-at 1:3:"), steps(&done.out, "did:"));
    assert!(knows(&folder, "p.kitedb", "n2") && !knows(&folder, "p.kitedb", "n3"));
}

/// The header of the only segment is cut: no number of a frame is made up.
#[test]
fn a_log_whose_only_segment_has_no_header_names_no_frame_that_never_was() {
    let folder = pair();
    import(&folder, "p.kitedb", &lines("n", 4), &[]).ok();
    fs::File::options().write(true).open(segment(&folder, 1)).unwrap().set_len(100).unwrap();
    let shown = folder.run(&["primary", "status", "p.kitedb"]);
    assert!(!shown.out.contains(&u64::MAX.to_string()), "{shown:?}");
}
