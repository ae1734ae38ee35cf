//! Somebody presses Ctrl-C, or a supervisor stops a command, that waits for another process at the other end of a pipe.

use super::{
    stage::{import, lines, until},
    support::Folder,
};
use rustix::io::ioctl_fionread;
use serde_json::Value as Json;
use std::{
    io::{Read, Write},
    process::{Child, Command, Stdio},
};

/// A command that does not outlive its test.
struct Waiting(Child);

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = (self.0.kill(), self.0.wait());
    }
}

fn spawned(folder: &Folder, args: &[&str]) -> Waiting {
    let own = folder.command(args);
    // What a child ignores it has from whoever runs the tests: here it is to end with its terminal.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP").arg(own.get_program()).args(own.get_args());
    own.get_current_dir().map(|dir| command.current_dir(dir));
    own.get_envs().for_each(|(name, value)| {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    });
    Waiting(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

/// Sends the signal once: how the command ends, and what it says.
fn ended_by(signal: &str, Waiting(child): &mut Waiting) -> (Option<i32>, String) {
    Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let mut code = None;
    until("the command ends", || {
        code = child.try_wait().unwrap();
        code.is_some()
    });
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (code.unwrap().code(), told)
}

fn edges_of(folder: &Folder, db: &str) -> Option<u64> {
    let stats = folder.run(&["stats", db, "--json"]);
    serde_json::from_str::<Json>(&stats.out).ok().and_then(|stats| stats["edges"].as_u64())
}

/// The producer went silent, in the middle of a batch and of a line, and does not close its end.
#[test]
fn an_import_from_a_silent_pipe_ends_with_the_first_signal() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        for input in ["-", "pipe"] {
            let folder = Folder::new();
            let made = Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap();
            assert!(made.success());
            let mut child = spawned(
                &folder,
                &["import", "g.kitedb", input, "--format", "edgelist", "--batch", "4", "--role", "primary", "--json"],
            );
            let mut producer: Box<dyn Write> = match input {
                "-" => Box::new(child.0.stdin.take().unwrap()),
                _ => Box::new(std::fs::OpenOptions::new().write(true).open(folder.path().join("pipe")).unwrap()),
            };
            producer.write_all(format!("{}half of a li", lines("n", 10)).as_bytes()).unwrap();
            until("two batches are committed", || edges_of(&folder, "g.kitedb") == Some(8));
            let mut out = child.0.stdout.take().unwrap();
            let (code, told) = ended_by(signal, &mut child);
            assert_eq!(code, Some(130), "{signal} {input}: {told}");
            assert!(told.contains("interrupted") && told.contains("2 batches are committed"), "{told}");
            assert!(told.contains("up to line 8"), "{told}");
            let mut report = String::new();
            out.read_to_string(&mut report).unwrap();
            let report: Json = serde_json::from_str(&report).unwrap();
            assert_eq!((&report["batches"], &report["error"]["code"]), (&2.into(), &"CANCELLED".into()), "{report}");
            drop(producer);
            assert_eq!(edges_of(&folder, "g.kitedb"), Some(8));
            folder.run(&["check", "g.kitedb"]).ok();
        }
    }
}

/// It was started so that it outlives its terminal, which is closed: the rest of its input is imported.
#[test]
fn an_import_that_ignores_the_end_of_its_terminal_goes_on() {
    let folder = Folder::new();
    let line =
        format!("trap '' HUP; exec {} import g.kitedb - --format edgelist --batch 1", env!("CARGO_BIN_EXE_kitedb"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(folder.path()).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = Waiting(shell.spawn().unwrap());
    let mut producer = child.0.stdin.take().unwrap();
    producer.write_all(b"a b K\n").unwrap();
    until("the first commit is there", || edges_of(&folder, "g.kitedb") == Some(1));
    Command::new("kill").args(["-HUP", &child.0.id().to_string()]).status().unwrap();
    producer.write_all(b"c d K\n").unwrap();
    until("it went on", || edges_of(&folder, "g.kitedb") == Some(2));
    drop(producer);
    assert!(child.0.wait().unwrap().success());
}

/// Nobody ever opens the other end, or nobody ever writes: nothing is made.
#[test]
fn an_import_of_a_pipe_without_a_producer_leaves_nothing() {
    let folder = Folder::new();
    assert!(Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    for (input, made) in [("pipe", false), ("-", true)] {
        let mut child = spawned(&folder, &["import", "g.kitedb", input, "--format", "edgelist"]);
        let file = folder.path().join("g.kitedb");
        if made {
            until("it waits for its input", || file.exists());
        } else {
            // Before it listens, the signal ends it where it is: it is looked whether it listens.
            let status = format!("/proc/{}/status", child.0.id());
            until("it listens", || catches_sigint(&std::fs::read_to_string(&status).unwrap()));
        }
        let (code, told) = ended_by("-INT", &mut child);
        assert_eq!(code, Some(130), "{input}: {told}");
        assert!(told.contains("nothing was imported"), "{input}: {told}");
        assert!(!file.exists(), "{input}");
    }
}

/// Whether SIGINT is among those that a process catches, by what the system says of it.
fn catches_sigint(status: &str) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
}

/// The consumer stopped reading, and does not go away.
#[test]
fn an_export_to_a_full_pipe_ends_with_the_first_signal() {
    let folder = Folder::new();
    import(&folder, "g.kitedb", "", &[]).ok();
    folder.file("many.txt", lines("a-name-that-takes-some-room-", 60_000));
    folder.run(&["import", "g.kitedb", "many.txt", "--format", "edgelist"]).ok();
    for output in [&[][..], &["--output", "-"]] {
        let mut child = spawned(&folder, &[&["export", "g.kitedb"], output].concat());
        let mut unread = child.0.stdout.take().unwrap();
        // More is to come than a pipe and all that the command holds take, and nobody reads it.
        until("something is in the pipe", || ioctl_fionread(&unread).unwrap() > 0);
        let (code, told) = ended_by("-INT", &mut child);
        assert_eq!(code, Some(130), "{told}");
        assert!(told.contains("interrupted") && told.contains("lacks its last line"), "{told}");
        let mut half = String::new();
        unread.read_to_string(&mut half).unwrap();
        assert!(!half.contains("{\"end\""));
        // Whoever reads gets all of it.
        assert!(folder.run(&[&["export", "g.kitedb"], output].concat()).ok().out.contains("{\"end\""));
    }
}
