//! Somebody presses Ctrl-C while a command works.

use super::support::Folder;
use std::{
    fs,
    process::{Command, Stdio},
};

/// Sends SIGINT to the command once `begun` is so. Its exit code; `None`: the signal came before it listened.
fn interrupted(folder: &Folder, args: &[&str], begun: impl Fn() -> bool) -> Option<i32> {
    let mut command = folder.command(args);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !begun() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    child.wait().unwrap().code()
}

fn names(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_command_that_is_interrupted_leaves_nothing_half_made() {
    let folder = Folder::new();
    let edges: String = (0..60_000).map(|n| format!("node{n} node{} K\n", n * 7 % 60_000)).collect();
    folder.file("edges.txt", edges);
    let import = ["import", "g.kitedb", "edges.txt", "--batch", "500", "--role", "primary"];
    let exists = |name: &'static str| move |folder: &Folder| folder.path().join(name).exists();
    // One that is done before the signal comes, or does not listen yet, is tried again.
    let was_ended = (0..20).any(|_| {
        for name in names(&folder).iter().filter(|name| name.contains("g.kitedb")) {
            let path = folder.path().join(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        interrupted(&folder, &import, || exists("g.kitedb.replication/control")(&folder)) == Some(130)
    });
    assert!(was_ended);
    // Whole batches, or nothing at all, and all of it is closed; the same import goes on.
    if folder.path().join("g.kitedb").exists() {
        folder.run(&["check", "g.kitedb"]).ok();
        let stats = folder.run(&["stats", "g.kitedb", "--json"]).json();
        assert!(stats["edges"].as_u64().unwrap().is_multiple_of(500), "{stats}");
    }
    folder.run(&import).ok();
    let digest = || folder.run(&["stats", "g.kitedb", "--json"]).json()["digest"].clone();
    let whole = digest();
    let before = names(&folder);

    // What only reads leaves everything as it is.
    for args in [&["check", "g.kitedb"][..], &["verify", "g.kitedb", "g.kitedb", "--deep"], &["repair", "g.kitedb"]] {
        let ended = (0..20).any(|_| interrupted(&folder, args, || true) == Some(130));
        // A machine may be too fast for it; whatever it did, nothing was changed.
        println!("{args:?} was ended: {ended}");
        assert_eq!((names(&folder), digest()), (before.clone(), whole.clone()));
    }
    folder.run(&["check", "g.kitedb"]).ok();

    // A bootstrap goes on where it was.
    let bootstrap = ["replica", "bootstrap", "r.kitedb", "--source-db", "g.kitedb"];
    interrupted(&folder, &bootstrap, || exists("r.kitedb")(&folder));
    folder.run(&bootstrap).ok();
    folder.run(&["verify", "g.kitedb", "r.kitedb", "--deep"]).ok();
}
