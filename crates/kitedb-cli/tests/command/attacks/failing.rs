//! A command that fails leaves what was there: no folder, no file, no word in a header more or less than before.

use super::{stage::*, support::Folder};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// All that is in a folder: of each file which one it is, and its bytes. What a control file or a registry says may change, as the
/// last error of a replica, not that it is there.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let mut all = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                all.insert(path, (0, Vec::new()));
                continue;
            }
            let words = path.ends_with("control") || path.ends_with("replicas");
            let bytes = if words { Vec::new() } else { fs::read(&path).unwrap() };
            all.insert(path.clone(), (fs::metadata(&path).unwrap().ino(), bytes));
        }
    }
    all
}

/// Runs `command`, which must fail and leave all that is in the folder as it is.
#[track_caller]
fn expect_nothing_done(folder: &Folder, state: &str, command: &[&str]) {
    let before = tree(folder.path());
    let run = folder.run(command);
    assert_ne!(run.code, 0, "{state}: {command:?}: {run:?}");
    let after = tree(folder.path());
    let names = |tree: &BTreeMap<PathBuf, _>| tree.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{state}: {command:?}: {run:?}");
    let changed: Vec<_> = before.iter().filter(|(path, was)| after[*path] != **was).map(|(path, _)| path).collect();
    assert!(changed.is_empty(), "{state}: {command:?}: {changed:?}: {run:?}");
}

/// Something is gone from a replica, or away, and somebody runs whatever comes to mind. What is put back then is as it was.
#[test]
fn a_command_on_a_replica_that_fails_leaves_what_was_there() {
    type Lose = fn(&Path) -> std::io::Result<()>;
    let losses: [(&str, Lose); 6] = [
        ("its log is away", |at| fs::rename(at.join("r.kitedb.replication"), at.join("away"))),
        ("its source is not known any more", |at| fs::remove_file(at.join("r.kitedb.replication/source"))),
        ("its source is away", |at| {
            fs::create_dir(at.join("far"))?;
            fs::rename(at.join("p.kitedb"), at.join("far/p.kitedb"))?;
            fs::rename(at.join("p.kitedb.replication"), at.join("far/p.kitedb.replication"))
        }),
        ("a file is in the place of its log", |at| {
            fs::rename(at.join("r.kitedb.replication"), at.join("away"))?;
            fs::write(at.join("r.kitedb.replication"), "a file")
        }),
        ("its file is away", |at| fs::rename(at.join("r.kitedb"), at.join("away"))),
        ("nothing", |_| Ok(())),
    ];
    for (state, lose) in losses {
        let folder = pair();
        import(&folder, "s.kitedb", "a b K\n", &[]).ok();
        import(&folder, "o.kitedb", "a b K\n", &["--role", "primary"]).ok();
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        folder.file("good.txt", "g h K\n");
        folder.file("bad.txt", "g\n");
        lose(folder.path()).unwrap();
        let fill = ["import", "r.kitedb", "good.txt", "--format", "edgelist"];
        expect_nothing_done(&folder, state, &fill);
        expect_nothing_done(&folder, state, &[&fill[..], &["--sidecar", "elsewhere"]].concat());
        expect_nothing_done(&folder, state, &["import", "r.kitedb", "bad.txt", "--format", "edgelist"]);
        for source in ["nowhere.kitedb", "s.kitedb", "o.kitedb", "bad.txt"] {
            for command in [&["replica", "follow", "r.kitedb", "--once"][..], &["replica", "reseed", "r.kitedb"]] {
                expect_nothing_done(&folder, state, &[command, &["--source-db", source]].concat());
            }
            expect_nothing_done(&folder, state, &["replica", "promote", "r.kitedb", "--source-db", source]);
        }
        if state != "nothing" {
            expect_nothing_done(&folder, state, &["replica", "follow", "r.kitedb", "--once"]);
            expect_nothing_done(&folder, state, &["replica", "promote", "r.kitedb"]);
            expect_nothing_done(&folder, state, &["replica", "reseed", "r.kitedb"]);
        }
        expect_nothing_done(&folder, state, &["primary", "promote", "r.kitedb"]);
        expect_nothing_done(&folder, state, &["role", "r.kitedb", "primary", "--moved"]);
        expect_nothing_done(&folder, state, &["repair", "r.kitedb", "--cut-at", "7:7"]);
        match state {
            "its log is away" => {
                assert_eq!(folder.run(&["check", "r.kitedb"]).code, 3);
                fs::rename(folder.path().join("away"), folder.path().join("r.kitedb.replication")).unwrap();
            }
            // A source that was named once, and cannot be followed, says nothing of it.
            "nothing" => {
                folder.run(&["replica", "status", "r.kitedb"]).ok();
            }
            _ => continue,
        }
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        folder.run(&["check", "r.kitedb"]).ok();
        folder.run(&["replica", "status", "r.kitedb"]).ok();
    }
}

/// Nor is anything mended for a command that is refused at first sight.
#[test]
fn a_damaged_replica_is_not_mended_for_a_source_that_is_not_there() {
    let folder = pair();
    fs::OpenOptions::new().write(true).open(folder.path().join("r.kitedb")).unwrap().set_len(5000).unwrap();
    for command in [&["replica", "follow", "r.kitedb", "--once"][..], &["replica", "reseed", "r.kitedb"]] {
        expect_nothing_done(&folder, "damaged", &[command, &["--source-db", "nowhere.kitedb"]].concat());
    }
    replica(&folder, "reseed", "r.kitedb", "p.kitedb").ok();
}

/// The same of a primary.
#[test]
fn a_command_on_a_primary_that_fails_leaves_what_was_there() {
    type Lose = fn(&Path) -> std::io::Result<()>;
    let losses: [(&str, Lose); 4] = [
        ("its log is away", |at| fs::rename(at.join("p.kitedb.replication"), at.join("away"))),
        ("its control file is gone", |at| fs::remove_file(at.join("p.kitedb.replication/control"))),
        ("its file is a copy", |at| {
            fs::copy(at.join("p.kitedb"), at.join("copy"))?;
            fs::rename(at.join("copy"), at.join("p.kitedb"))
        }),
        ("its file is away", |at| fs::rename(at.join("p.kitedb"), at.join("away"))),
    ];
    for (state, lose) in losses {
        let folder = pair();
        folder.file("good.txt", "g h K\n");
        lose(folder.path()).unwrap();
        for more in [&[][..], &["--role", "primary"], &["--sidecar", "elsewhere"]] {
            let import = ["import", "p.kitedb", "good.txt", "--format", "edgelist"];
            expect_nothing_done(&folder, state, &[&import[..], more].concat());
        }
        for command in [
            &["replica", "follow", "p.kitedb", "--once", "--source-db", "r.kitedb"][..],
            &["replica", "reseed", "p.kitedb", "--source-db", "r.kitedb"],
            &["replica", "promote", "p.kitedb"],
            &["primary", "promote", "p.kitedb"],
            &["primary", "retention", "p.kitedb"],
            &["primary", "remove", "p.kitedb", "somebody"],
            &["repair", "p.kitedb", "--cut-at", "7:7"],
        ] {
            expect_nothing_done(&folder, state, command);
        }
    }
}
