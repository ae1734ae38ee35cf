//! Accounts that may not do everything.

use super::stage::*;
use serde_json::Value as Json;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
    process::{Command, Stdio},
};

#[test]
fn the_log_of_a_private_database_cannot_be_read_by_others() {
    let Some(folder) = shared_folder() else { return };
    import(&folder, "q.kitedb", "a b K\n", &[]).ok();
    fs::set_permissions(folder.path().join("q.kitedb"), fs::Permissions::from_mode(0o600)).unwrap();
    let mut feed = Feed::start(&folder, "q.kitedb", &[]);
    feed.feed(&folder, "q.kitedb", "secret key K\n", "1:2");
    assert_ne!(as_nobody(&folder, "cat q.kitedb >/dev/null").code, 0);
    assert_ne!(as_nobody(&folder, "cat q.kitedb-wal/segment-* >/dev/null").code, 0);
    assert_eq!(feed.end(), Some(0));
}

#[test]
fn maintenance_by_root_does_not_lock_the_owner_out() {
    let Some(folder) = shared_folder() else { return };
    let import = |edges: &str| format!("echo '{edges}' | ./kb import p.kitedb - --format edgelist");
    as_nobody(&folder, &format!("{} --role primary", import("a b K"))).ok();
    folder.run(&["primary", "promote", "p.kitedb"]).ok();
    as_nobody(&folder, &import("c d K")).ok();
    assert!(knows(&folder, "p.kitedb", "c"));
}

#[test]
fn a_follower_that_may_not_register_says_so() {
    let Some(folder) = shared_folder() else { return };
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let own = folder.path().join("n");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    // Refused, unless it is meant.
    let run = as_nobody(&folder, "./kb replica bootstrap n/n.kitedb --source-db p.kitedb");
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("--unregistered"), "{run:?}");
    as_nobody(&folder, "./kb replica bootstrap n/n.kitedb --source-db p.kitedb --unregistered").ok();
    let run = as_nobody(&folder, "./kb replica follow n/n.kitedb --source-db p.kitedb --once");
    assert_ne!(run.code, 0, "{run:?}");
    let status = as_nobody(&folder, "./kb replica status n/n.kitedb --source-db p.kitedb");
    assert_eq!(status.code, 3, "{status:?}");
    assert!(status.out.contains("regist"), "{status:?}");
}

/// The account of a follower loses its permission on a file or folder of its source: that is a state of its own, which says
/// on what, and the follower goes on once the permission is back.
#[test]
fn a_follower_whose_source_denies_permission_says_so_and_goes_on_once_it_may() {
    let Some(folder) = shared_folder() else { return };
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let own = folder.path().join("n");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    as_nobody(&folder, "./kb replica bootstrap n/n.kitedb --source-db p.kitedb --unregistered").ok();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let once = "./kb replica follow n/n.kitedb --unregistered --once";
    as_nobody(&folder, once).ok();
    let log = folder.path().join("p.kitedb.replication");
    let newest = names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap();
    for (nth, name) in ["p.kitedb", "p.kitedb.replication", "p.kitedb.replication/control", &newest].iter().enumerate()
    {
        let denied = if *name == newest { log.join(name) } else { folder.path().join(name) };
        let shown = denied.display().to_string();
        let mode = fs::metadata(&denied).unwrap().mode();
        import(&folder, "p.kitedb", &format!("c{nth} d{nth} K\n"), &[]).ok();
        set(&denied, 0);
        let run = as_nobody(&folder, once);
        assert_eq!(run.code, 1, "{name}: {run:?}");
        let said = |text: &str| text.contains(&shown) && text.contains("needs permission on it");
        assert!(said(&run.err) && !run.err.contains("--source-sidecar"), "{name}: {run:?}");
        // While a process follows, its state says so, to whoever looks.
        let mut follower = Command::new("su")
            .args(["nobody", "-s", "/bin/sh", "-c", "exec ./kb replica follow n/n.kitedb --unregistered --json"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = || {
            let shown = folder.run(&["replica", "status", "n/n.kitedb", "--json"]);
            (shown.code, serde_json::from_str::<Json>(&shown.out).unwrap_or_default())
        };
        until("the follower is denied", || status().1["state"] == "denied");
        let (code, document) = status();
        assert_eq!(code, 3, "{name}: {document}");
        assert!(said(document["last_error"].as_str().unwrap()), "{name}: {document}");
        assert!(said(document["fault"].as_str().unwrap()), "{name}: {document}");
        set(&denied, mode);
        until("it goes on", || status().1["state"] == "following");
        assert_eq!(status().1["last_error"], Json::Null, "{name}");
        assert!(knows(&folder, "n/n.kitedb", &format!("c{nth}")), "{name}");
        let pid = status().1["process_id"].as_u64().unwrap();
        assert!(Command::new("kill").arg(pid.to_string()).status().unwrap().success());
        follower.wait().unwrap();
    }
}

/// The log's folder is another account's: that is told as what it is, and not as damage.
#[test]
fn a_log_that_may_not_be_read_is_not_called_damaged() {
    let Some(folder) = shared_folder() else { return };
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    let log = folder.path().join("p.kitedb.replication");
    let locked = || fs::set_permissions(&log, fs::Permissions::from_mode(0o700)).unwrap();
    locked();
    let told = |line: &str| {
        let run = as_nobody(&folder, line);
        let all = format!("{}{}", run.out, run.err);
        assert!(run.code == 1 && all.contains("ermission denied"), "{line}: {run:?}");
        assert!(!all.contains("damaged") && !all.contains("repair"), "{line}: {run:?}");
    };
    told("./kb check p.kitedb");
    // Commits that are in the log alone.
    let mut feed = Feed::start(&folder, "p.kitedb", &[]);
    feed.feed(&folder, "p.kitedb", "c d K\n", "1:2");
    feed.kill_nine();
    locked();
    for line in ["./kb check p.kitedb", "./kb check p.kitedb --json", "./kb stats p.kitedb", "./kb get p.kitedb a"] {
        told(line);
    }
    let stats = as_nobody(&folder, "./kb stats p.kitedb --json");
    assert_eq!(serde_json::from_str::<Json>(&stats.out).unwrap()["damage"], Json::Null, "{stats:?}");
    folder.run(&["check", "p.kitedb"]).ok();
}

/// What needs the log fails where that may not be read, with one code; what reads the file alone goes on.
#[test]
fn a_log_that_may_not_be_read_is_a_failure_and_no_fault() {
    let Some(folder) = shared_folder() else { return };
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    fs::set_permissions(folder.path().join("p.kitedb.replication"), fs::Permissions::from_mode(0o700)).unwrap();
    for command in ["primary status p.kitedb", "metrics p.kitedb", "check p.kitedb", "primary retention p.kitedb"] {
        let run = as_nobody(&folder, &format!("./kb {command}"));
        assert!(run.code == 1 && format!("{}{}", run.out, run.err).contains("permission"), "{command}: {run:?}");
    }
    for command in ["stats p.kitedb", "get p.kitedb a"] {
        as_nobody(&folder, &format!("./kb {command}")).ok();
    }
}
