//! The operator's runbook says what is so: each of its commands is run, in order, in one shell, and what it shows is
//! what comes out.

use crate::support::{Folder, collector};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// It takes seconds; a command that waits for ever is a failure like any other.
const PATIENCE: Duration = Duration::from_secs(300);

const RUNBOOK: &str = include_str!("../../../../docs/runbook.md");

/// A piece of the runbook that is run.
#[derive(Debug)]
struct Step {
    /// Where it begins in the runbook.
    line: usize,
    script: String,
    /// Lines that its output holds, in this order.
    expected: Vec<String>,
}

/// The commands, those of the scenes between them (in comments) included, and the output shown after them.
fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = RUNBOOK.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let mut body = |end: &str| -> Vec<String> {
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != end);
            inside.map(|line| line.get(indent..).unwrap_or_default().to_owned()).collect()
        };
        match line.trim() {
            "```sh" => steps.push(Step { line: at + 1, script: body("```").join("\n"), expected: Vec::new() }),
            "```text" => steps.last_mut().unwrap().expected = body("```"),
            scene if scene.starts_with("<!-- scene") => {
                steps.push(Step { line: at + 1, script: body("-->").join("\n"), expected: Vec::new() });
            }
            _ => {}
        }
    }
    steps
}

/// Whether a line of output is as shown: `…` stands for anything, and blanks for any blanks.
fn is_like(line: &str, shown: &str) -> bool {
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (line, shown) = (squeeze(line), squeeze(shown));
    let mut rest = line.as_str();
    for (at, part) in shown.split('…').map(str::trim).enumerate() {
        let found = if at == 0 { rest.starts_with(part).then_some(0) } else { rest.find(part) };
        match found {
            Some(found) => rest = &rest[found + part.len()..],
            None => return false,
        }
    }
    shown.ends_with('…') || rest.is_empty()
}

/// Waits for the shell, which has a process group of its own, and ends what it leaves. `None`: it did not come to an end.
fn finish(mut bash: Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match bash.try_wait().unwrap() {
            None if Instant::now() < deadline => sleep(Duration::from_millis(20)),
            status => break status,
        }
    };
    let group = Pid::from_raw(bash.id().cast_signed()).unwrap();
    let _ = kill_process_group(group, Signal::KILL);
    let _ = bash.wait();
    status
}

#[test]
fn every_command_does_what_the_runbook_says() {
    let folder = Folder::new();
    let steps = steps();
    assert!(steps.len() > 30, "the runbook has {} steps: are they still found?", steps.len());
    let mut script = String::from("set -euo pipefail\n");
    for step in &steps {
        script += &format!("echo '@@ {}'\n{}\n", step.line, step.script);
    }
    let bin = Path::new(env!("CARGO_BIN_EXE_kitedb")).parent().unwrap().to_owned();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let file = folder.file("runbook.sh", script);
    let all = fs::File::create(folder.path().join("output")).unwrap();
    let mut bash = Command::new("bash");
    bash.arg(file).current_dir(folder.path()).env("PATH", path).env("COLLECTOR", collector()).process_group(0);
    bash.stdin(Stdio::null()).stdout(all.try_clone().unwrap()).stderr(all);
    let status = finish(bash.spawn().unwrap());
    let output = fs::read_to_string(folder.path().join("output")).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{output}");

    for step in &steps {
        let marker = format!("@@ {}\n", step.line);
        let said = output.split_once(&marker).unwrap().1;
        let said = said.split("\n@@ ").next().unwrap();
        let mut lines = said.lines();
        for shown in step.expected.iter().filter(|line| !line.trim().is_empty()) {
            let found = lines.any(|line| is_like(line, shown));
            assert!(found, "line {} of the runbook shows\n{shown}\nbut what came is\n{said}", step.line);
        }
    }
}

/// A section of the runbook: its number, 0 before the first one, and its lines.
fn sections() -> Vec<(u32, Vec<(usize, &'static str)>)> {
    let mut sections = vec![(0, Vec::new())];
    for (at, line) in RUNBOOK.lines().enumerate() {
        let number = line.strip_prefix("## ").and_then(|title| title.split('.').next()?.parse().ok());
        if let Some(number) = number {
            sections.push((number, Vec::new()));
        }
        sections.last_mut().unwrap().1.push((at + 1, line));
    }
    sections
}

/// The paragraphs of what is read as text, and not as a block of commands or a comment.
fn paragraphs(lines: &[(usize, &str)]) -> Vec<(usize, String)> {
    let (mut paragraphs, mut end) = (vec![(0, String::new())], None);
    for (at, line) in lines {
        let line = line.trim();
        let begins = [("```", "```"), ("<!--", "-->")].into_iter().find(|(begin, _)| line.starts_with(begin));
        match (end, begins) {
            (Some(until), _) if line == until => end = None,
            (None, Some((_, until))) => end = Some(until),
            (None, None) if !line.is_empty() => {
                let (_, text) = paragraphs.last_mut().unwrap();
                text.push_str(line);
                text.push(' ');
                continue;
            }
            _ => {}
        }
        paragraphs.push((at + 1, String::new()));
    }
    paragraphs
}

/// What follows `kitedb` in a script, to the end of each line.
fn commands(script: &str) -> Vec<Vec<&str>> {
    let mut commands = Vec::new();
    for line in script.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = |(at, word): (usize, &&str)| word.ends_with("kitedb").then(|| words[at + 1..].to_vec());
        commands.extend(words.iter().enumerate().filter_map(at));
    }
    commands
}

/// Whether a command in the text is one that is run: a word in capitals stands for any, and more may follow.
fn is_run(shown: &[&str], run: &[&str]) -> bool {
    let stands_for_any = |word: &str| word.chars().all(|c| c.is_ascii_uppercase() || c == ':');
    run.len() >= shown.len() && shown.iter().zip(run).all(|(shown, run)| stands_for_any(shown) || shown == run)
}

/// A command that stands in the text is run in that section, or in one that the same paragraph sends its reader to.
#[test]
fn every_command_in_the_text_is_run() {
    let (steps, sections) = (steps(), sections());
    let mut found = 0;
    for (number, lines) in &sections {
        for (line, text) in paragraphs(lines) {
            let sent_to = text.split("section ").skip(1).filter_map(|rest| rest.get(..1)?.parse().ok());
            let where_run: Vec<u32> = sent_to.chain([*number]).collect();
            let of = |step: &Step| {
                let section = sections.iter().rfind(|(_, lines)| lines[0].0 <= step.line);
                section.is_some_and(|(number, _)| where_run.contains(number))
            };
            for shown in text.split('`').skip(1).step_by(2).filter_map(|inline| inline.strip_prefix("kitedb ")) {
                let words: Vec<&str> = shown.split_whitespace().collect();
                let mut run = steps.iter().filter(|step| of(step)).flat_map(|step| commands(&step.script));
                assert!(
                    run.any(|run| is_run(&words, &run)),
                    "line {line} of the runbook tells of `kitedb {shown}`, and no step of sections {where_run:?} runs it"
                );
                found += 1;
            }
        }
    }
    assert!(found > 5, "{found} commands were found in the text");
}

#[test]
fn what_the_checklist_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let checklist = RUNBOOK.split_once("```sh checklist\n").unwrap().1.split_once("```").unwrap().0;
    let words: Vec<&str> = checklist.split_whitespace().collect();
    let targets: Vec<&str> = words.windows(2).filter(|pair| pair[0] == "--test").map(|pair| pair[1]).collect();
    assert!(targets.len() >= 5, "{targets:?}");
    for target in targets {
        let found = ["kitedb-core", "kitedb-telemetry"].iter().any(|name| {
            let tests = root.join("crates").join(name).join("tests");
            tests.join(format!("{target}.rs")).exists() || tests.join(target).join("main.rs").exists()
        });
        assert!(found, "there is no test target {target}");
    }
    for script in words.iter().filter(|word| word.starts_with("scripts/")) {
        assert!(root.join(script).exists(), "there is no {script}");
    }
}

#[test]
fn shown_lines_stand_for_what_differs() {
    let words = |text: &'static str| text.split(' ').collect::<Vec<_>>();
    for (shown, run, want) in [
        ("repair DB --cut-at EPOCH:INDEX", "repair a.kitedb --cut-at 1:20", true),
        ("repair", "repair a.kitedb", true),
        ("repair DB --cut-at EPOCH:INDEX", "repair a.kitedb --dry-run", false),
        ("repair a.kitedb", "repair b.kitedb", false),
    ] {
        assert_eq!(is_run(&words(shown), &words(run)), want, "{shown} / {run}");
    }
    for (line, shown, want) in [
        ("  head     1:20", "head 1:20", true),
        ("clean in 12 ms", "clean in …", true),
        ("log  3 segments, 12 KiB, from 7 on", "log … segments, …, from 7 on", true),
        ("/x/a.kitedb.replication  1:40  0  held  3 ms ago", "…/a.kitedb.replication  1:40  0  … held  …", true),
        ("head 1:200", "head 1:20", false),
        ("a head 1:20", "head 1:20", false),
    ] {
        assert_eq!(is_like(line, shown), want, "{line} / {shown}");
    }
}
