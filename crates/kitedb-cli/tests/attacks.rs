//! What goes wrong at a shell: another name, a forgotten option, swapped arguments, a restored copy, a folder exchanged
//! under a process, an account without permission. `docs/attacks.md` is the list of them. A test that is ignored shows
//! a fault that is not mended yet; its reason says which.
#![allow(clippy::disallowed_methods, reason = "a test of processes waits on the real clock")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use serde_json::{Value as Json, json};
use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use support::{Folder, Run};

const PATIENCE: Duration = Duration::from_secs(60);

/// An account that nobody works under.
const NOBODY: u32 = 65534;

/// Asks again until what is asked for is so.
#[track_caller]
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "never {what}");
        sleep(Duration::from_millis(10));
    }
}

/// Imports edges, a commit each; `more` are further arguments.
fn import(folder: &Folder, db: &str, edges: &str, more: &[&str]) -> Run {
    // From a file: a command that refuses does not wait for its input.
    folder.file("edges.txt", edges);
    let args = ["import", db, "edges.txt", "--format", "edgelist", "--batch", "1", "--json"];
    folder.run(&[&args[..], more].concat())
}

fn replica(folder: &Folder, action: &str, db: &str, source: &str) -> Run {
    folder.run(&["replica", action, db, "--source-db", source, "--json"])
}

fn catch_up(folder: &Folder, db: &str, source: &str) -> Run {
    folder.run(&["replica", "follow", db, "--source-db", source, "--once", "--json"])
}

fn knows(folder: &Folder, db: &str, key: &str) -> bool {
    folder.run(&["get", db, key]).code == 0
}

/// A primary `p` with one commit, and its replica `r`.
fn pair() -> Folder {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    folder
}

/// A primary `p` that is fenced, and `r`, which took over.
fn failed_over() -> Folder {
    let folder = pair();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
    folder
}

/// A process that imports what it is fed, a commit for each line.
struct Feed {
    process: Child,
    input: Option<ChildStdin>,
}

impl Feed {
    fn start(folder: &Folder, db: &str, more: &[&str]) -> Self {
        let args = ["import", db, "-", "--format", "edgelist", "--batch", "1"];
        let mut process = folder
            .command(&[&args[..], more].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        Self { process, input }
    }

    /// Feeds lines, and waits until the database shows its log index.
    fn feed(&mut self, folder: &Folder, db: &str, edges: &str, token: &str) {
        self.input.as_mut().unwrap().write_all(edges.as_bytes()).unwrap();
        until("the commits are there", || {
            let stats = folder.run(&["stats", db, "--json"]).out;
            serde_json::from_str::<Json>(&stats).is_ok_and(|stats| stats["token"] == token)
        });
    }

    /// SIGKILL.
    fn kill_nine(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// No more input comes, so that it ends in an orderly way.
    fn end(mut self) -> Option<i32> {
        drop(self.input.take());
        self.process.wait().unwrap().code()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let _ = (self.process.kill(), self.process.wait());
    }
}

fn lines(prefix: &str, count: u32) -> String {
    (1..=count).map(|n| format!("{prefix}{n} {prefix}to{n} K\n")).collect()
}

/// As `cp -a`.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// The files in `folder`, by name, with their bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    all.sort();
    all
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

fn segments(folder: &Folder, db: &str) -> usize {
    let log = folder.path().join(format!("{db}.replication"));
    names(&log).iter().filter(|name| name.starts_with("segment-")).count()
}

#[test]
fn a_fenced_primary_takes_no_import_whatever_role_is_said() {
    let folder = failed_over();
    for role in [&[][..], &["--role", "primary"], &["--role", "disabled"]] {
        let run = import(&folder, "p.kitedb", "old fork K\n", role);
        assert_eq!(run.code, 1, "{role:?}: {run:?}");
        assert!(!knows(&folder, "p.kitedb", "fork"), "{role:?}");
    }
    // It follows who took over, and nothing has to be thrown away.
    assert_eq!(catch_up(&folder, "p.kitedb", "r.kitedb").json()["applied_epoch"], 2);
}

#[test]
fn a_fenced_primary_takes_no_import_through_a_link() {
    let folder = failed_over();
    symlink("p.kitedb", folder.path().join("current.kitedb")).unwrap();
    for role in [&[][..], &["--role", "primary"], &["--role", "disabled"]] {
        let run = import(&folder, "current.kitedb", "old bylink K\n", role);
        assert_eq!(run.code, 1, "{role:?}: {run:?}");
    }
    assert!(!folder.path().join("current.kitedb.replication").exists());
    let status = folder.run(&["primary", "status", "current.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
}

#[test]
fn a_bootstrap_with_its_arguments_swapped_is_refused() {
    let folder = pair();
    import(&folder, "p.kitedb", "only here K\n", &[]).ok();
    for action in ["bootstrap", "reseed", "follow"] {
        let run = replica(&folder, action, "p.kitedb", "r.kitedb");
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert!(run.err.contains("p.kitedb") && run.err.contains("primary"), "{action}: {run:?}");
        assert!(knows(&folder, "p.kitedb", "only"), "{action}");
    }
    assert_eq!(import(&folder, "p.kitedb", "goes on K\n", &[]).json()["token"], "1:3");
}

#[test]
fn a_bootstrap_over_a_database_of_its_own_wants_to_be_told() {
    let folder = pair();
    import(&folder, "mine.kitedb", "my only-copy K\n", &[]).ok();
    for action in ["bootstrap", "reseed"] {
        let run = replica(&folder, action, "mine.kitedb", "p.kitedb");
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert!(run.err.contains("--overwrite") && run.err.contains("1:1"), "{action}: {run:?}");
        assert!(knows(&folder, "mine.kitedb", "only-copy"), "{action}");
    }
    folder.run(&["replica", "bootstrap", "mine.kitedb", "--source-db", "p.kitedb", "--overwrite"]).ok();
    assert!(knows(&folder, "mine.kitedb", "a") && !knows(&folder, "mine.kitedb", "only-copy"));
}

#[test]
fn a_refused_bootstrap_leaves_nothing() {
    let folder = Folder::new();
    import(&folder, "plain.kitedb", "a b K\n", &[]).ok();
    folder.file("text.kitedb", "no database at all");
    for source in ["nowhere.kitedb", "text.kitedb", "plain.kitedb"] {
        let before = names(folder.path());
        let run = replica(&folder, "bootstrap", "new.kitedb", source);
        assert_eq!(run.code, 1, "{source}: {run:?}");
        assert_eq!(names(folder.path()), before, "{source}");
    }
}

/// The place that is given for the log of the replica is that of its source's.
#[test]
fn a_bootstrap_that_is_refused_for_its_sidecar_leaves_nothing() {
    let folder = Folder::new();
    import(&folder, "q.kitedb", "a b K\n", &["--role", "primary", "--sidecar", "f"]).ok();
    let before = (names(folder.path()), names(&folder.path().join("f")));
    for action in ["bootstrap", "follow"] {
        let run = folder.run(&["replica", action, "x.kitedb", "--source-db", "q.kitedb", "--sidecar", "f"]);
        assert_eq!(run.code, 1, "{action}: {run:?}");
        assert_eq!((names(folder.path()), names(&folder.path().join("f"))), before, "{action}");
    }
}

/// Who was registered is not known any more: `check` and the status say so, and retention keeps the log until its operator
/// says who there is.
#[test]
fn a_lost_registry_does_not_cost_a_replica_its_log() {
    let folder = pair();
    fs::write(folder.path().join("p.kitedb.replication/replicas"), vec![0; 65536]).unwrap();
    import(&folder, "p.kitedb", &lines("n", 60), &["--segment-max-bytes", "1024"]).ok();
    let status = folder.run(&["primary", "status", "p.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    let fault = serde_json::from_str::<Json>(&status.out).unwrap()["log_fault"].as_str().unwrap().to_owned();
    let check = folder.run(&["check", "p.kitedb"]);
    assert!(check.code != 0 && check.out.contains("registry of replicas"), "{check:?}");
    let retention = &["primary", "retention", "p.kitedb", "--retention-min-entries", "0"];
    let run = folder.run(retention);
    assert!(
        run.code != 0 && run.err.contains("--replicas-complete") && fault.contains("--replicas-complete"),
        "{run:?}"
    );
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    folder.run(&["check", "p.kitedb"]).ok();
    assert!(folder.run(&[&retention[..], &["--json"]].concat()).json()["pruned_segments"].as_u64() > Some(5));

    replica(&folder, "bootstrap", "s.kitedb", "p.kitedb").ok();
    fs::remove_file(folder.path().join("p.kitedb.replication/replicas")).unwrap();
    catch_up(&folder, "r.kitedb", "p.kitedb");
    assert_ne!(folder.run(retention).code, 0);
    folder.run(&[&retention[..], &["--replicas-complete"]].concat()).ok();
    folder.run(&["primary", "status", "p.kitedb"]).ok();
}

/// Segments that were kept for a replica, and that the primary itself does not need.
#[test]
fn segments_that_are_deleted_by_hand_are_told() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    let log = folder.path().join("p.kitedb.replication");
    for name in names(&log).iter().filter(|name| name.starts_with("segment-")) {
        fs::remove_file(log.join(name)).unwrap();
    }
    for command in [&["primary", "status", "p.kitedb"][..], &["check", "p.kitedb"]] {
        let run = folder.run(command);
        assert!(run.code != 0 && run.out.contains("segments of the log are gone"), "{run:?}");
    }
}

/// The control file of a primary is deleted, emptied, wiped out or flipped: every command says what to do, a repair gives all
/// of it back, and it leads when it is told to.
#[test]
fn a_lost_control_file_is_repaired() {
    for lose in [
        |_| None,
        |_| Some(vec![]),
        |bytes: Vec<u8>| Some(vec![0; bytes.len()]),
        |mut bytes: Vec<u8>| {
            bytes[20] ^= 1;
            Some(bytes)
        },
    ] {
        let folder = pair();
        import(&folder, "p.kitedb", &lines("n", 5), &[]).ok();
        let control = folder.path().join("p.kitedb.replication/control");
        match lose(fs::read(&control).unwrap()) {
            Some(bytes) => fs::write(&control, bytes).unwrap(),
            None => fs::remove_file(&control).unwrap(),
        }
        let run = folder.run(&["check", "p.kitedb"]);
        assert!(run.code == 3 && run.out.contains("kitedb repair"), "{run:?}");
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert!(run.code == 1 && run.err.contains("kitedb repair"), "{run:?}");
        let run = folder.run(&["repair", "p.kitedb", "--dry-run"]);
        assert!(run.code == 3 && run.out.contains("p.kitedb can be repaired, as of 1:6"), "{run:?}");
        let done = folder.run(&["repair", "p.kitedb", "--json"]).json();
        assert_eq!((&done["done"], &done["fenced"], &done["last_token"]), (&json!(true), &json!(true), &json!("1:6")));
        let run = folder.run(&["repair", "p.kitedb"]).ok();
        assert!(run.out.contains("nothing that a repair would mend"), "{run:?}");

        folder.run(&["check", "p.kitedb"]).ok();
        let run = import(&folder, "p.kitedb", "x y K\n", &[]);
        assert!(run.code == 1 && run.err.contains("stale primary") && !knows(&folder, "p.kitedb", "x"), "{run:?}");
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert!(run.code == 1 && run.err.contains("repaired"), "{run:?}");
        assert!(folder.run(&["role", "p.kitedb"]).ok().out.contains("repaired"));
        folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
        assert_eq!(import(&folder, "p.kitedb", "x y K\n", &[]).json()["token"], "3:7");
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
        assert_eq!(folder.run(&["verify", "p.kitedb", "r.kitedb", "--json"]).json()["equal"], true);
    }
}

/// The place that is given for the log is not one, and the graph cannot be read: nothing was made for either.
#[test]
fn a_refused_import_leaves_nothing() {
    let folder = pair();
    fs::remove_file(folder.path().join("p.kitedb.replication/control")).unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/control"), "precious").unwrap();
    symlink("none/there", folder.path().join("dangling")).unwrap();
    folder.file("edges.txt", "");
    let before = (names(folder.path()), names(&folder.path().join("p.kitedb.replication")));
    for sidecar in ["p.kitedb.replication", "docs", "dangling", "edges.txt"] {
        let run = import(&folder, "new.kitedb", "a b K\n", &["--role", "primary", "--sidecar", sidecar]);
        assert_eq!(run.code, 1, "{sidecar}: {run:?}");
        let run = folder.run(&["replica", "bootstrap", "new.kitedb", "--source-db", "r.kitedb", "--sidecar", sidecar]);
        assert_eq!(run.code, 1, "{sidecar}: {run:?}");
        assert_eq!((names(folder.path()), names(&folder.path().join("p.kitedb.replication"))), before, "{sidecar}");
    }
    assert_eq!(fs::read_to_string(folder.path().join("docs/control")).unwrap(), "precious");
    for role in ["primary", "disabled"] {
        let run = import(&folder, "new.kitedb", "only-one-field\n", &["--role", role]);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("nothing was imported"), "{run:?}");
        assert_eq!(names(folder.path()), before.0);
    }
}

/// A replica's file is damaged behind a good header, and an earlier one was put aside.
#[test]
fn a_damaged_replica_is_reseeded_in_place() {
    for action in ["reseed", "bootstrap"] {
        let folder = pair();
        let path = folder.path().join("r.kitedb");
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        // All but the header and the manifest, wherever that is.
        bytes[8192..len].iter_mut().filter(|byte| **byte == b'K').for_each(|byte| *byte = b'L');
        fs::write(&path, &bytes).unwrap();
        folder.file("r.kitedb.damaged", "evidence");
        replica(&folder, action, "r.kitedb", "p.kitedb").ok();
        assert_eq!(fs::read_to_string(folder.path().join("r.kitedb.damaged")).unwrap(), "evidence");
        assert!(fs::read(folder.path().join("r.kitedb.damaged.2")).unwrap() == bytes);
        folder.run(&["check", "r.kitedb"]).ok();
        assert!(knows(&folder, "r.kitedb", "a"));
    }
}

#[test]
fn a_primary_that_is_told_not_to_replicate_takes_no_import() {
    let folder = pair();
    let run = import(&folder, "p.kitedb", "c d K\n", &["--role", "disabled"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("primary"), "{run:?}");
    assert_eq!(import(&folder, "p.kitedb", "c d K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "c"));
}

#[test]
fn a_replica_ahead_of_a_restored_primary_says_so() {
    let folder = pair();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("saved")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&at(name), &at("saved").join(name));
    }
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    fs::remove_file(at("p.kitedb")).unwrap();
    fs::remove_dir_all(at("p.kitedb.replication")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&at("saved").join(name), &at(name));
    }
    // No process has it open.
    let run = catch_up(&folder, "r.kitedb", "p.kitedb");
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains("needs reseed"), "{run:?}");
    let status = folder.run(&["replica", "status", "r.kitedb", "--source-db", "p.kitedb", "--json"]);
    assert_eq!(status.code, 3, "{status:?}");
    // And the restored primary does not lead by itself.
    let run = import(&folder, "p.kitedb", "other d K\n", &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("`kitedb role ") && run.err.contains("p.kitedb primary --moved`"), "{run:?}");
    folder.run(&["role", "p.kitedb", "primary", "--moved"]).ok();
    assert_eq!(import(&folder, "p.kitedb", "other d K\n", &[]).json()["token"], "2:2");
}

#[test]
fn a_file_with_two_names_takes_an_import_only_if_told() {
    let folder = pair();
    fs::hard_link(folder.path().join("p.kitedb"), folder.path().join("other.kitedb")).unwrap();
    let run = import(&folder, "p.kitedb", "c d K\n", &[]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("hard links") && run.err.contains("--accept-hard-links"), "{run:?}");
    assert_eq!(import(&folder, "p.kitedb", "c d K\n", &["--accept-hard-links"]).json()["token"], "1:2");
}

#[test]
fn the_role_of_a_fenced_primary_says_so() {
    let folder = pair();
    folder.run(&["replica", "promote", "r.kitedb", "--source-db", "p.kitedb"]).ok();
    for (name, expected) in [("p.kitedb", true), ("r.kitedb", false)] {
        let shown = folder.run(&["role", name, "--json"]).json();
        assert_eq!((&shown["role"], &shown["fenced"]), (&"primary".into(), &expected.into()), "{name}: {shown}");
        assert_eq!(folder.run(&["role", name]).ok().out.contains("fenced"), expected);
    }
}

#[test]
fn who_was_taken_over_from_leads_again_only_by_force() {
    let folder = failed_over();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join(name.replacen('p', "c", 1)));
    }
    let refused = |args: &[&str]| {
        let run = folder.run(args);
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("took over from") && run.err.contains("--force"), "{run:?}");
    };
    for (db, args) in [
        ("p.kitedb", ["primary", "promote", "p.kitedb"].as_slice()),
        ("c.kitedb", ["role", "c.kitedb", "primary", "--moved"].as_slice()),
    ] {
        refused(args);
        assert_eq!(import(&folder, db, "c d K\n", &[]).code, 1);
        folder.run(&[args, &["--force"]].concat()).ok();
        assert_eq!(import(&folder, db, "c d K\n", &[]).json()["token"], "3:2");
    }
}

/// It goes on with the source that it had.
#[test]
fn a_promotion_from_a_wrong_source_leaves_the_remembered_one() {
    let folder = pair();
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let run = folder.run(&["replica", "promote", "r.kitedb", "--source-db", "other.kitedb"]);
    assert_eq!(run.code, 1, "{run:?}");
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    assert!(status["source_db_path"].as_str().unwrap().ends_with("/p.kitedb"), "{status}");
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    assert!(knows(&folder, "r.kitedb", "c"));
}

#[test]
fn a_replica_is_removed_by_its_path_and_what_is_none_is_an_error() {
    let folder = pair();
    for json in [&[][..], &["--json"]] {
        let run = folder.run(&[&["primary", "remove", "p.kitedb", "nobody"], json].concat());
        assert_eq!(run.code, 1, "{run:?}");
        assert!(run.err.contains("no replica is registered as nobody"), "{run:?}");
    }
    assert_eq!(folder.run(&["primary", "remove", "p.kitedb", "./r.kitedb", "--json"]).json()["removed"], true);
}

/// The commands between backticks in a text, as arguments.
fn commands_in(text: &str) -> Vec<Vec<&str>> {
    text.split('`').skip(1).step_by(2).map(|command| command.split(' ').skip(1).collect()).collect()
}

/// Its source is gone, or was repaired: what is said is so, and a command that it gives does what it says.
#[test]
fn a_promotion_that_is_refused_says_what_force_does_and_risks() {
    for repaired in [false, true] {
        for named in [&[][..], &["--source-db", "p.kitedb"]] {
            let folder = pair();
            if repaired {
                fs::remove_file(folder.path().join("p.kitedb.replication/control")).unwrap();
                folder.run(&["repair", "p.kitedb"]).ok();
            } else {
                fs::create_dir(folder.path().join("gone")).unwrap();
                for name in ["p.kitedb", "p.kitedb.replication"] {
                    fs::rename(folder.path().join(name), folder.path().join("gone").join(name)).unwrap();
                }
            }
            let run = folder.run(&[&["replica", "promote", "r.kitedb"][..], named].concat());
            assert_eq!(run.code, 1, "{run:?}");
            assert!(run.err.contains("is lost") && !run.err.contains("another node leads now"), "{run:?}");
            assert!(!repaired || run.err.contains("was repaired"), "{run:?}");
            let force = [&["replica", "promote", "r.kitedb"][..], named, &["--force"]].concat();
            let given = commands_in(&run.err).into_iter().find(|command| *command == force);
            folder.run(&given.unwrap_or_else(|| panic!("no word of force: {run:?}"))).ok();
            assert!(knows(&folder, "r.kitedb", "a"));
            import(&folder, "r.kitedb", "c d K\n", &[]).ok();
        }
    }
}

fn registered(folder: &Folder, db: &str) -> Vec<String> {
    let status = folder.run(&["primary", "status", db, "--json"]).json();
    let lags = status["replica_lags"].as_array().unwrap();
    lags.iter().map(|lag| lag["replica_id"].as_str().unwrap().to_owned()).collect()
}

/// The source keeps nothing for it any more: it forgets the replica at once, or its operator is told how.
#[test]
fn a_replica_that_is_detached_is_registered_no_more() {
    let folder = pair();
    assert_eq!(registered(&folder, "p.kitedb").len(), 1);
    let run = folder.run(&["role", "r.kitedb", "detach"]).ok();
    assert!(run.out.contains("p.kitedb") && run.out.contains("no longer keeps its log for it"), "{run:?}");
    assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());

    // Its source is away.
    for json in [false, true] {
        let folder = pair();
        fs::create_dir(folder.path().join("away")).unwrap();
        let moves = |from: &Path, to: &Path| {
            ["p.kitedb", "p.kitedb.replication"]
                .iter()
                .for_each(|name| fs::rename(from.join(name), to.join(name)).unwrap());
        };
        moves(folder.path(), &folder.path().join("away"));
        let run =
            folder.run(&[&["role", "r.kitedb", "detach"][..], if json { &["--json"] } else { &[] }].concat()).ok();
        moves(&folder.path().join("away"), folder.path());
        assert_eq!(registered(&folder, "p.kitedb").len(), 1);
        let remove: Vec<String> = if json {
            let left: Json = serde_json::from_str(&run.out).unwrap();
            let text = |key: &str| left["still_registered"][key].as_str().unwrap().to_owned();
            vec!["primary".into(), "remove".into(), text("source_db_path"), text("replica_id")]
        } else {
            assert!(run.out.contains("still keeps its log for it"), "{run:?}");
            commands_in(&run.out)[0].iter().map(|word| (*word).to_owned()).collect()
        };
        folder.run(&remove.iter().map(String::as_str).collect::<Vec<_>>()).ok();
        assert_eq!(registered(&folder, "p.kitedb"), <[&str; 0]>::default());
    }
}

/// The replica that it was copied from follows on, and what it needs is kept.
#[test]
fn a_copy_of_a_replica_that_is_detached_leaves_the_replica_registered() {
    let folder = pair();
    for with_log in [true, false] {
        copy(&folder.path().join("r.kitedb"), &folder.path().join("c.kitedb"));
        if with_log {
            copy(&folder.path().join("r.kitedb.replication"), &folder.path().join("c.kitedb.replication"));
        }
        let run = folder.run(&["role", "c.kitedb", "detach"]).ok();
        assert!(!run.out.contains("p.kitedb"), "{run:?}");
        assert_eq!(registered(&folder, "p.kitedb").len(), 1);
        fs::remove_file(folder.path().join("c.kitedb")).unwrap();
    }
}

/// Nobody writes to it.
#[test]
fn a_pipe_is_not_waited_for() {
    let folder = pair();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    for args in
        [&["role", "pipe"][..], &["stats", "pipe"], &["replica", "bootstrap", "n.kitedb", "--source-db", "pipe"]]
    {
        let run = folder.run(args);
        assert_eq!(run.code, 1, "{args:?}: {run:?}");
        assert!(run.err.contains("pipe"), "{args:?}: {run:?}");
    }
}

/// A copy for analysis.
#[test]
fn a_copy_is_made_a_database_of_its_own() {
    let folder = pair();
    let at = |name: &str| folder.path().join(name);
    for suffix in ["", ".replication"] {
        copy(&at(&format!("r.kitedb{suffix}")), &at(&format!("copied.kitedb{suffix}")));
    }
    assert_eq!(import(&folder, "copied.kitedb", "c d K\n", &[]).code, 1);
    folder.run(&["role", "copied.kitedb", "detach"]).ok();
    import(&folder, "copied.kitedb", "c d K\n", &[]).ok();
    assert!(knows(&folder, "copied.kitedb", "c") && !at("copied.kitedb.replication").exists());
    assert!(folder.run(&["role", "copied.kitedb"]).ok().out.contains("disabled"));
    assert!(folder.run(&["role", "p.kitedb"]).ok().out.contains("primary"));
    assert!(folder.run(&["role", "r.kitedb"]).ok().out.contains("replica"));
}

#[test]
fn a_sidecar_elsewhere_is_said_once() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("side")).unwrap();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary", "--sidecar", "side/p"]).ok();
    replica(&folder, "bootstrap", "r.kitedb", "p.kitedb").ok();
    assert_eq!(import(&folder, "p.kitedb", "x y K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "x"));
    assert_eq!(folder.run(&["verify", "p.kitedb", "r.kitedb", "--json"]).json()["equal"], true);
    assert!(!folder.path().join("p.kitedb.replication").exists());
}

#[test]
fn an_import_through_a_link_reaches_the_replicas() {
    let folder = pair();
    fs::create_dir(folder.path().join("links")).unwrap();
    symlink("../p.kitedb", folder.path().join("links/p.kitedb")).unwrap();
    assert_eq!(import(&folder, "links/p.kitedb", "x y K\n", &[]).json()["token"], "1:2");
    catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    assert!(knows(&folder, "r.kitedb", "x"));
    assert_eq!(names(&folder.path().join("links")), ["p.kitedb"]);
}

#[test]
fn what_was_imported_through_a_link_is_found_after_a_kill() {
    let folder = Folder::new();
    import(&folder, "d.kitedb", "a b K\n", &[]).ok();
    fs::create_dir(folder.path().join("links")).unwrap();
    symlink("../d.kitedb", folder.path().join("links/l.kitedb")).unwrap();
    let mut feed = Feed::start(&folder, "links/l.kitedb", &[]);
    feed.feed(&folder, "links/l.kitedb", "c d K\nd e K\n", "1:3");
    feed.kill_nine();
    assert!(knows(&folder, "d.kitedb", "e"));
    assert_eq!(import(&folder, "d.kitedb", "q r K\n", &[]).json()["token"], "1:4");
}

#[test]
fn a_process_does_not_remove_the_log_of_a_database_that_was_put_in_its_place() {
    let folder = Folder::new();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("data")).unwrap();
    fs::create_dir(at("other")).unwrap();
    // Its commits are only in its log.
    let mut other = Feed::start(&folder, "other/p.kitedb", &[]);
    other.feed(&folder, "other/p.kitedb", &lines("x", 50), "1:50");
    other.kill_nine();
    let before = contents(&at("other/p.kitedb-wal"));
    assert!(!before.is_empty());

    let mut running = Feed::start(&folder, "data/p.kitedb", &[]);
    running.feed(&folder, "data/p.kitedb", &lines("y", 3), "1:3");
    fs::rename(at("data"), at("data.old")).unwrap();
    fs::rename(at("other"), at("data")).unwrap();
    running.end();

    assert!(at("data/p.kitedb-wal").exists() && contents(&at("data/p.kitedb-wal")) == before);
    assert_eq!(folder.run(&["stats", "data/p.kitedb", "--json"]).json()["token"], "1:50");
    assert_eq!(folder.run(&["stats", "data.old/p.kitedb", "--json"]).json()["token"], "1:3");
}

const SMALL: [&str; 4] = ["--segment-max-bytes", "4096", "--retention-min-entries", "5"];

#[test]
fn a_replica_that_follows_once_at_a_time_cuts_its_log() {
    let folder = Folder::new();
    import(&folder, "p.kitedb", "a b K\n", &["--role", "primary"]).ok();
    folder.run(&[&["replica", "bootstrap", "r.kitedb", "--source-db", "p.kitedb"], &SMALL[..]].concat()).ok();
    for round in 0..4 {
        let options = ["--sync-mode", "off", "--segment-max-bytes", "4096"];
        import(&folder, "p.kitedb", &lines(&format!("r{round}-"), 200), &options).ok();
        let follow = ["replica", "follow", "r.kitedb", "--source-db", "p.kitedb", "--once"];
        folder.run(&[&follow[..], &SMALL].concat()).ok();
    }
    let left = segments(&folder, "r.kitedb");
    assert!(left <= 10, "{left} segments");
    // An operator can ask for it, too.
    folder.run(&[&["primary", "retention", "r.kitedb"], &SMALL[..]].concat()).ok();
}

#[test]
fn a_demoted_primary_forgets_who_followed_it() {
    let folder = pair();
    replica(&folder, "bootstrap", "c.kitedb", "p.kitedb").ok();
    replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
    let follow = |db: &str| {
        let args = ["replica", "follow", db, "--source-db", "r.kitedb", "--once"];
        folder.run(&[&args[..], &SMALL].concat()).ok();
    };
    for round in 0..4 {
        let options = ["--sync-mode", "off", "--segment-max-bytes", "4096"];
        import(&folder, "r.kitedb", &lines(&format!("r{round}-"), 200), &options).ok();
        follow("p.kitedb");
    }
    let left = segments(&folder, "p.kitedb");
    assert!(left <= 10, "{left} segments");
    let shown = folder.run(&["replica", "status", "p.kitedb", "--json"]).json();
    assert_eq!(shown["segments"], json!(left));
    assert!(shown["log_bytes"].as_u64() > Some(0), "{shown}");
}

#[test]
fn a_replica_is_removed_while_the_primary_runs() {
    let folder = pair();
    let mut running = Feed::start(&folder, "p.kitedb", &["--segment-max-bytes", "4096"]);
    running.feed(&folder, "p.kitedb", &lines("x", 200), "1:201");
    let id = folder.run(&["primary", "status", "p.kitedb", "--json"]).json()["replica_lags"][0]["replica_id"].clone();
    let before = segments(&folder, "p.kitedb");
    folder.run(&["primary", "remove", "p.kitedb", id.as_str().unwrap()]).ok();
    folder.run(&[&["primary", "retention", "p.kitedb"], &SMALL[..]].concat()).ok();
    assert!(segments(&folder, "p.kitedb") < before);
    running.feed(&folder, "p.kitedb", "q r K\n", "1:202");
    assert_eq!(running.end(), Some(0));
    assert_eq!(folder.run(&["check", "p.kitedb", "--json"]).json()["clean"], true);
}

/// Once its source is remembered, nobody has to say it again.
#[test]
fn a_replica_is_told_its_source_once() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    let status = folder.run(&["replica", "status", "r.kitedb", "--json"]).json();
    assert_eq!((&status["lag_frames"], &status["source_head_log_index"]), (&json!(1), &json!(2)), "{status}");
    assert_eq!(folder.run(&["replica", "follow", "r.kitedb", "--once", "--json"]).json()["applied_log_index"], 2);
    assert_eq!(folder.run(&["replica", "promote", "r.kitedb", "--json"]).json()["source_fenced"], true);
}

/// The last segment of a log is deleted after a kill: every command that shows less than was committed says so.
#[test]
fn a_log_that_ends_too_early_is_told_by_every_command() {
    let folder = Folder::new();
    let options = ["--role", "primary", "--segment-max-bytes", "4096"];
    let mut feed = Feed::start(&folder, "p.kitedb", &options);
    feed.feed(&folder, "p.kitedb", &lines("x", 60), "1:60");
    feed.kill_nine();
    let log = folder.path().join("p.kitedb.replication");
    let last = names(&log).into_iter().rfind(|name| name.starts_with("segment-")).unwrap();
    fs::remove_file(log.join(last)).unwrap();
    let commands = [&["check"][..], &["stats"], &["primary", "status"], &["get"], &["neighbors"]];
    for command in commands {
        let key: &[&str] = if ["get", "neighbors"].contains(&command[0]) { &["x1"] } else { &[] };
        let run = folder.run(&[command, &["p.kitedb"], key].concat());
        assert_eq!(run.code, 3, "{command:?}: {run:?}");
        assert!(!run.err.is_empty() || command == ["check"], "{command:?}: {run:?}");
    }
    let run = import(&folder, "p.kitedb", "q r K\n", &options);
    assert_eq!(run.code, 1, "{run:?}");
}

/// The arguments of an import are swapped: what is given as the graph to read is the database.
#[test]
fn an_import_with_its_arguments_swapped_changes_nothing() {
    let folder = Folder::new();
    import(&folder, "g.kitedb", "a b K\n", &[]).ok();
    folder.file("graph.csv", "src,dst\nc,d\n");
    let before = contents(folder.path());
    let run = folder.run(&["import", "graph.csv", "g.kitedb"]);
    assert_ne!(run.code, 0, "{run:?}");
    assert!(contents(folder.path()) == before, "{run:?}");
}

/// A folder in which another account can work, with a copy of the command; `None`, said aloud, if this is not root.
fn shared_folder() -> Option<Folder> {
    let folder = Folder::new();
    if fs::metadata(folder.path()).unwrap().uid() != 0 {
        println!("skipped: only root can work as somebody else");
        return None;
    }
    if Command::new("su").arg("--version").output().is_err() {
        println!("skipped: there is no su");
        return None;
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let command = folder.path().join("kb");
    fs::copy(env!("CARGO_BIN_EXE_kitedb"), &command).unwrap();
    fs::set_permissions(&command, fs::Permissions::from_mode(0o755)).unwrap();
    Some(folder)
}

fn as_nobody(folder: &Folder, line: &str) -> Run {
    let mut command = Command::new("su");
    command.args(["nobody", "-s", "/bin/sh", "-c", line]).current_dir(folder.path());
    Run::of(command.output().unwrap())
}

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

/// What the `kitedb` commands in a text are that change something, as a shell is given them.
fn changes_in(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for command in text.split('`').filter(|command| command.starts_with("kitedb ")) {
        let looks = [" status ", " check ", " stats ", " get ", " follow "].iter().any(|look| command.contains(look));
        if !looks && !all.iter().any(|known| known == command) {
            all.push(command.to_owned());
        }
    }
    all
}

/// Runs a command as it was shown.
fn paste(folder: &Folder, line: &str) -> Run {
    let bin = Path::new(env!("CARGO_BIN_EXE_kitedb")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    Run::of(command.args(["-c", line]).env("PATH", path).current_dir(folder.path()).output().unwrap())
}

/// A primary that was killed has a log that is damaged or gone. Who does what the errors say, and what the answers to that
/// say, comes to a primary that takes commits.
#[test]
fn the_hints_of_a_killed_primary_with_a_damaged_log_lead_on_until_it_takes_commits() {
    type Lose = fn(&Path);
    fn all(log: &Path) -> Vec<std::path::PathBuf> {
        names(log).iter().filter(|name| name.starts_with("segment-")).map(|name| log.join(name)).collect()
    }
    fn damage(path: &Path, at: usize) {
        let mut bytes = fs::read(path).unwrap();
        bytes[at..at + 8].iter_mut().for_each(|byte| *byte ^= 0xA5);
        fs::write(path, bytes).unwrap();
    }
    let losses: [(&str, Lose); 9] = [
        ("the first segments", |log| all(log)[..2].iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("all segments", |log| all(log).iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("the last segments", |log| all(log)[1..].iter().for_each(|path| fs::remove_file(path).unwrap())),
        ("a header", |log| damage(&all(log)[1], 8)),
        ("the first header", |log| damage(&all(log)[0], 8)),
        ("a frame", |log| damage(&all(log)[1], 600)),
        ("the control file", |log| fs::remove_file(log.join("control")).unwrap()),
        ("all but the registry", |log| {
            all(log).iter().chain([&log.join("control")]).for_each(|path| fs::remove_file(path).unwrap());
        }),
        ("the folder", |log| fs::remove_dir_all(log).unwrap()),
    ];
    for (loss, lose) in losses {
        let folder = Folder::new();
        fs::create_dir(folder.path().join("my data")).unwrap();
        let (db, log) = ("my data/p.kitedb", folder.path().join("my data/p.kitedb.replication"));
        let mut feed = Feed::start(&folder, db, &["--role", "primary", "--segment-max-bytes", "1024"]);
        feed.feed(&folder, db, &lines("n", 30), "1:30");
        feed.kill_nine();
        lose(&log);
        let mut refused = import(&folder, db, "new node K\n", &[]);
        assert_ne!(refused.code, 0, "{loss}: {refused:?}");
        let (mut done, mut trail) = (Vec::new(), Vec::new());
        while refused.code != 0 {
            // The first one that is named and was not tried; what that answers is read before the rest.
            let mut texts = vec![format!("{}{}", refused.out, refused.err)];
            let mut went_on = false;
            while let Some(text) = texts.pop() {
                for command in changes_in(&text) {
                    if done.contains(&command) {
                        continue;
                    }
                    let run = paste(&folder, &command);
                    trail.push(format!("{command} => {}", run.code));
                    done.push(command);
                    texts.push(format!("{}{}", run.out, run.err));
                    went_on = true;
                    break;
                }
            }
            assert!(went_on, "{loss}: {refused:?} after {trail:#?}");
            refused = import(&folder, db, "new node K\n", &[]);
        }
        assert!(trail.len() <= 4, "{loss}: {trail:#?}");
        assert!(knows(&folder, db, "new"), "{loss}");
        // Nothing is left to be done but by the operator's word for the replicas that were there.
        let after = paste(&folder, "kitedb repair 'my data/p.kitedb'");
        assert!(!after.out.contains("found:"), "{loss}: {after:?}");
    }
}

/// The control file that was lost turns up again after another node took over: that the lead is taken anew is said by name.
#[test]
fn a_primary_whose_old_control_file_was_put_back_leads_by_force_only() {
    let folder = pair();
    let (control, kept) = (folder.path().join("p.kitedb.replication/control"), folder.path().join("control"));
    fs::rename(&control, &kept).unwrap();
    folder.run(&["repair", "p.kitedb"]).ok();
    folder.run(&["replica", "promote", "r.kitedb", "--force"]).ok();
    fs::rename(&kept, &control).unwrap();
    for _ in 0..2 {
        let run = folder.run(&["primary", "promote", "p.kitedb"]);
        assert!(run.code == 1 && run.err.contains("put back") && run.err.contains("--force"), "{run:?}");
    }
    folder.run(&["primary", "promote", "p.kitedb", "--force"]).ok();
}
