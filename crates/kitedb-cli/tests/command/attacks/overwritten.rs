//! Somebody writes something else into the file of a replica, or empties it, and an operator looks.

use super::stage::{import, pair, paste, until};
use std::{fs, process::Stdio};

const SPOILT: [(&str, &[u8]); 3] =
    [("another text", b"root:x:0:0::/root:/bin/sh\n"), ("nothing", b""), ("zeros", &[0; 20_000])];

/// The command that a text tells to reseed with.
fn reseed_in(text: &str) -> Option<String> {
    text.split('`').find(|part| part.starts_with("kitedb replica reseed")).map(str::to_owned)
}

/// It is reseeded in place: nobody is promoted for it, and what is told does it.
#[test]
fn who_looks_at_an_overwritten_replica_is_told_to_reseed_it() {
    for (what, bytes) in SPOILT {
        for ask in [
            &["check"][..],
            &["replica", "status"],
            &["primary", "status"],
            &["stats"],
            &["role"],
            &["export"],
            &["metrics"],
        ] {
            let folder = pair();
            fs::write(folder.path().join("r.kitedb"), bytes).unwrap();
            let run = folder.run(&[ask, &["r.kitedb"]].concat());
            assert_eq!(run.code, 3, "{what}, {ask:?}: {run:?}");
            let told = format!("{}{}", run.out, run.err);
            assert!(!told.contains("promote") && !told.contains("let a replica lead"), "{what}, {ask:?}: {run:?}");
            let reseed = reseed_in(&told).unwrap_or_else(|| panic!("{what}, {ask:?}: {run:?}"));
            paste(&folder, &reseed).ok();
            folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
            // What holds nothing is not kept.
            if what == "another text" {
                assert_eq!(fs::read(folder.path().join("r.kitedb.damaged")).unwrap(), bytes);
            }
        }
    }
}

/// What is to be written to it is refused with the same words.
#[test]
fn who_writes_to_an_overwritten_replica_is_told_to_reseed_it() {
    let folder = pair();
    fs::write(folder.path().join("r.kitedb"), "something else").unwrap();
    let run = import(&folder, "r.kitedb", "c d K\n", &[]);
    assert!(run.code == 1 && reseed_in(&run.err).is_some() && !run.err.contains("promote"), "{run:?}");
    assert_eq!(fs::read(folder.path().join("r.kitedb")).unwrap(), b"something else");
}

/// Its follower has it open: that is stopped first.
#[test]
fn an_overwritten_replica_that_a_process_has_open_is_told_with_that_process() {
    let folder = pair();
    let mut follower =
        folder.command(&["replica", "follow", "r.kitedb"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let control =
        || folder.run(&["replica", "status", "r.kitedb", "--json"]).out.contains(&format!("{}", follower.id()));
    until("it follows", control);
    let whole = fs::metadata(folder.path().join("r.kitedb")).unwrap().len();
    // Of the same length: a file that is cut may end the process by a signal.
    fs::write(folder.path().join("other"), vec![b'x'; whole as usize]).unwrap();
    fs::rename(folder.path().join("other"), folder.path().join("r.kitedb")).unwrap();
    let run = folder.run(&["replica", "status", "r.kitedb"]);
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(run.code, 3, "{run:?}");
    let id = format!("stop process {}", follower.id());
    assert!(run.err.contains(&id) && reseed_in(&run.err).is_some(), "{run:?}");
    paste(&folder, &reseed_in(&run.err).unwrap()).ok();
    folder.run(&["verify", "p.kitedb", "r.kitedb"]).ok();
}

/// Of a primary nothing is reseeded in place: a replica is to lead, as ever.
#[test]
fn who_looks_at_an_overwritten_primary_is_not_told_to_reseed_it() {
    for (what, bytes) in SPOILT {
        let folder = pair();
        fs::write(folder.path().join("p.kitedb"), bytes).unwrap();
        for ask in [&["check"][..], &["primary", "status"]] {
            let run = folder.run(&[ask, &["p.kitedb"]].concat());
            assert_eq!(run.code, 3, "{what}: {run:?}");
            assert!(reseed_in(&run.err).is_none() && run.err.contains("promote"), "{what}: {run:?}");
        }
    }
}
