//! Somebody gives a path in the folder of a log for a database: what removes, moves or restores that log takes it along.

use super::{
    stage::{import, names, pair, replica},
    support::{Folder, Run},
};
use std::fs;

#[track_caller]
fn expect_refused(folder: &Folder, log: &str, before: &[String], run: &Run) {
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("is the folder of a log") && run.err.contains(log), "{run:?}");
    assert_eq!(names(&folder.path().join(log)), before, "{run:?}");
}

#[test]
fn a_database_is_not_made_in_the_folder_of_a_log() {
    // By its name, under another name, and by a link; and without its control file, as segments tell.
    for how in ["named", "moved", "linked", "lost"] {
        let folder = pair();
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        let mut log = "p.kitedb.replication";
        match how {
            "moved" => {
                fs::rename(folder.path().join(log), folder.path().join("log of p")).unwrap();
                log = "log of p";
            }
            "lost" => fs::remove_file(folder.path().join(log).join("control")).unwrap(),
            "linked" => std::os::unix::fs::symlink(log, folder.path().join("link")).unwrap(),
            _ => {}
        }
        fs::create_dir(folder.path().join(log).join("within")).unwrap();
        let before = names(&folder.path().join(log));
        let given = if how == "linked" { "link" } else { log };
        for inside in ["x.kitedb", "within/x.kitedb", "control", "replicas"] {
            let path = format!("{given}/{inside}");
            for more in [&[][..], &["--role", "primary"], &["--sidecar", "elsewhere"]] {
                let more = if more.contains(&"--sidecar") {
                    &["--role", "primary", "--sidecar", "elsewhere"][..]
                } else {
                    more
                };
                expect_refused(&folder, log, &before, &import(&folder, &path, "e f K\n", more));
            }
            for action in ["bootstrap", "reseed", "follow"] {
                let args = ["replica", action, &path, "--source-db", "r.kitedb"];
                let more = if action == "follow" { "--once" } else { "--overwrite" };
                expect_refused(&folder, log, &before, &folder.run(&[&args[..], &[more]].concat()));
            }
        }
        assert!(!folder.path().join("elsewhere").exists());
        // Nor is the log of another one made there.
        let more = ["--role", "primary", "--sidecar", &format!("{given}/within")];
        expect_refused(&folder, log, &before, &import(&folder, "new.kitedb", "e f K\n", &more));
        assert!(!folder.path().join("new.kitedb").exists());
    }
}

/// Whatever else a command makes where it is told to.
#[test]
fn no_file_of_another_kind_is_made_in_the_folder_of_a_log() {
    let folder = pair();
    let log = "p.kitedb.replication";
    let before = names(&folder.path().join(log));
    let export = folder.run(&["export", "p.kitedb", "-o", &format!("{log}/graph.jsonl")]);
    expect_refused(&folder, log, &before, &export);
    let socket = folder.run(&["serve", "p.kitedb", "--socket", &format!("{log}/s")]);
    expect_refused(&folder, log, &before, &socket);
}

/// One that lies there from before is looked at, and written to once it is moved out.
#[test]
fn a_database_that_lies_in_the_folder_of_a_log_is_moved_out_of_it() {
    let folder = pair();
    import(&folder, "s.kitedb", "a b K\n", &[]).ok();
    let inside = folder.path().join("p.kitedb.replication/s.kitedb");
    fs::rename(folder.path().join("s.kitedb"), &inside).unwrap();
    folder.run(&["stats", "p.kitedb.replication/s.kitedb"]).ok();
    assert_eq!(import(&folder, "p.kitedb.replication/s.kitedb", "c d K\n", &[]).code, 1);
    fs::rename(&inside, folder.path().join("s.kitedb")).unwrap();
    import(&folder, "s.kitedb", "c d K\n", &[]).ok();
    folder.run(&["check", "p.kitedb"]).ok();
}

/// A folder in which something else is called `control`, or which only has such a name, is none of a log.
#[test]
fn a_folder_that_is_no_log_takes_a_database() {
    let folder = Folder::new();
    for (name, control) in
        [("debian", Some("Source: kitedb\n")), ("my.replication", None), ("empty", Some("")), ("saved", None)]
    {
        fs::create_dir(folder.path().join(name)).unwrap();
        if let Some(text) = control {
            fs::write(folder.path().join(name).join("control"), text).unwrap();
        }
        let path = format!("{name}/p.kitedb");
        // As it was saved before something that may go wrong.
        if name == "saved" {
            import(&folder, &path, "a b K\n", &["--role", "primary"]).ok();
            fs::copy(folder.path().join("saved/p.kitedb.replication/control"), folder.path().join("saved/control"))
                .unwrap();
        }
        import(&folder, &path, "a b K\n", &["--role", "primary"]).ok();
        replica(&folder, "bootstrap", &format!("{name}/r.kitedb"), &path).ok();
    }
}
