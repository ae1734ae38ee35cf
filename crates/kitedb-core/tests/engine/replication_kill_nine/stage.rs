//! Where the processes of a test play, and what must hold between them.

use super::{
    actor::Actor,
    folder::{Folder, mode_name, primary_options, sidecar_of},
    ledger::{Ledger, commit_item, counter},
    support_process::{Random, dump, mode_of},
};
use kitedb_core::{Database, ErrorCode, OpenOptions, ReplicaState, ReplicationRole, SyncMode, Token};
use rustix::process::Signal;
use std::{fs, path::Path, thread, time::Duration};

/// What a child process is told.
#[derive(Debug, Clone)]
pub struct Part {
    pub path: String,
    /// The file that a replica follows; empty: it is a primary.
    pub source: String,
    pub mode: SyncMode,
    /// How many frames its log keeps though nobody asks for them.
    pub window: u64,
    pub seed: u64,
    pub writers: usize,
    pub extra: Vec<String>,
}

impl Part {
    pub fn parse(args: Vec<String>) -> Self {
        let [path, source, mode, window, seed, writers, extra @ ..] = args.as_slice() else { panic!("{args:?}") };
        Self {
            path: path.clone(),
            source: source.clone(),
            mode: mode_of(mode),
            window: window.parse().unwrap(),
            seed: seed.parse().unwrap(),
            writers: writers.parse().unwrap(),
            extra: extra.to_vec(),
        }
    }

    fn start(&self, role: &str) -> Actor {
        let (window, seed, writers) = (self.window.to_string(), self.seed.to_string(), self.writers.to_string());
        let mut args = vec![&*self.path, &self.source, mode_name(self.mode), &window, &seed, &writers];
        args.extend(self.extra.iter().map(String::as_str));
        Actor::start(role, &args)
    }

    /// Small checkpoints, segments and runs, so that something is always under way. Segments of about one size: where a sync
    /// takes long, a replica whose segments are much smaller than its primary's would take minutes for what that commits in
    /// seconds.
    pub fn options(&self) -> OpenOptions {
        let options = primary_options(self.mode)
            .checkpoint_log_bytes(64 << 10)
            .max_runs(3)
            .replication_segment_max_bytes((16 << 10) << (self.seed % 3))
            .replication_retention_min_entries(self.window)
            .replication_retention_interval_ms(10);
        match self.source.as_str() {
            "" => options,
            source => options.replication_role(ReplicationRole::Replica).replication_source_db_path(source),
        }
    }
}

/// See the [module documentation](self).
pub struct Stage {
    pub folder: Folder,
    pub mode: SyncMode,
    pub window: u64,
    pub random: Random,
    pub ledger: Ledger,
    pub rounds: u64,
    _replay: Replay,
}

/// Says, if the test fails, how to run it again.
struct Replay(String);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            println!("to run it again: {}", self.0);
        }
    }
}

impl Stage {
    /// For the test that runs, with so many rounds unless the environment says otherwise.
    pub fn new(mode: SyncMode, rounds: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().map(|n| n.parse().expect("a number"));
        let seed = number("KITEDB_SEED").unwrap_or_else(|| getrandom::u64().unwrap());
        let rounds = number("KITEDB_ROUNDS").unwrap_or(rounds);
        let thread = thread::current();
        let replay = format!(
            "KITEDB_SEED={seed} KITEDB_ROUNDS={rounds} cargo test -p kitedb-core --test engine -- --exact replication_kill_nine::{}",
            thread.name().unwrap_or_default()
        );
        Self {
            folder: Folder::new(),
            mode,
            window: u64::MAX,
            random: Random::new(seed),
            ledger: Ledger::default(),
            rounds,
            _replay: Replay(replay),
        }
    }

    /// With so short a window that logs are cut all the time.
    pub fn with_window(self, window: u64) -> Self {
        Self { window, ..self }
    }

    fn part(&mut self, path: &str, source: &str, writers: usize, extra: &[&str]) -> Part {
        Part {
            path: self.folder.text(path),
            source: if source.is_empty() { String::new() } else { self.folder.text(source) },
            mode: self.mode,
            window: self.window,
            seed: self.random.below(1 << 32),
            writers,
            extra: extra.iter().map(|&extra| extra.to_owned()).collect(),
        }
    }

    /// One of these, by chance.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.random.below(choices.len() as u64) as usize]
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    /// Any moment within so many microseconds.
    pub fn pause(&mut self, micros: u64) {
        thread::sleep(Duration::from_micros(self.random.below(micros)));
    }

    /// More or fewer commits, so that a round takes about as long in every mode.
    pub fn some_commits(&mut self) -> u64 {
        self.random.below(if self.mode == SyncMode::Full { 40 } else { 300 })
    }

    pub fn start_primary(&mut self, name: &str) -> Actor {
        let (writers, commits) = (1 + self.random.below(3) as usize, self.choose(&["0", "0", "25"]));
        self.ledger.lives += 1;
        self.part(name, "", writers, &[commits]).start("primary")
    }

    /// SIGSTOP, but not at the moment in which it moves the fence of its own log: who is stopped there must be ended
    /// before another node can take over, as the runbook says.
    pub fn stop(&self, primary: &Actor, name: &str) {
        loop {
            primary.signal(Signal::STOP);
            if !fence_is_locked(&sidecar_of(&self.folder.path(name)).join("control")) {
                return;
            }
            primary.signal(Signal::CONT);
            thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn start_handles(&mut self, name: &str) -> Actor {
        self.ledger.lives += 1;
        self.part(name, "", 3, &[]).start("handles")
    }

    pub fn start_pair(&mut self, primary: &str, replica: &str) -> Actor {
        let (writers, replica) = (1 + self.random.below(3) as usize, self.folder.text(replica));
        self.ledger.lives += 1;
        self.part(primary, "", writers, &[&replica]).start("pair")
    }

    pub fn start_replica(&mut self, name: &str, source: &str, way: &str) -> Actor {
        self.part(name, source, 0, &[way]).start("replica")
    }

    pub fn start_copier(&mut self, name: &str, source: &str) -> Actor {
        self.part(name, source, 0, &[]).start("copier")
    }

    pub fn start_promoter(&mut self, name: &str, source: &str, writers: usize, gate: &str) -> Actor {
        self.ledger.lives += i64::from(writers > 0);
        self.part(name, source, writers, &[gate]).start("promoter")
    }

    /// Opens a primary in this process.
    pub fn primary(&mut self, name: &str) -> Database {
        let part = self.part(name, "", 0, &[]);
        Database::open(&part.path, part.options()).unwrap()
    }

    /// Opens a replica in this process.
    pub fn replica(&mut self, name: &str, source: &str) -> Database {
        let part = self.part(name, source, 0, &[]);
        Database::open(&part.path, part.options()).unwrap()
    }

    /// Looks at a database without changing anything of it.
    pub fn reader(&self, name: &str) -> Database {
        Database::open(self.folder.path(name), OpenOptions::new().read_only(true)).unwrap()
    }

    /// Listens until so many commits more are acknowledged.
    pub fn hear(&mut self, actor: &Actor, commits: u64) {
        let enough = self.ledger.acknowledged() + commits as usize;
        while self.ledger.acknowledged() < enough {
            let line = actor.line().expect("it goes on until it is killed");
            if let Err(other) = self.ledger.note(&line) {
                assert_eq!(other, "open");
            }
        }
    }

    /// Listens until it shows something; returns what.
    pub fn hear_state(&mut self, actor: &Actor) -> Token {
        loop {
            let line = actor.line().expect("it goes on until it is killed");
            match self.ledger.note(&line) {
                Ok(Some(token)) => return token,
                Ok(None) => {}
                Err(other) => assert_eq!(other, "open"),
            }
        }
    }

    /// Removes all segments of a log.
    pub fn remove_segments(&self, name: &str) {
        let sidecar = sidecar_of(&self.folder.path(name));
        for entry in fs::read_dir(sidecar).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "klog") {
                fs::remove_file(path).unwrap();
            }
        }
    }

    /// Commits a little on an open primary.
    pub fn commit(&mut self, primary: &Database) {
        for _ in 0..self.random.below(4) {
            let n = counter(primary, 0) + 1;
            let token = commit_item(primary, 0, n).unwrap();
            self.ledger.note(&format!("ack 0 {n} {token}")).unwrap();
        }
    }

    /// A replica that is behind its primary gets everything, and then both show the same.
    #[track_caller]
    pub fn expect_caught_up(&mut self, replica: &Database, primary: &Database) {
        while replica.replica_catch_up_once(1 + self.random.below(300) as usize).unwrap() > 0 {}
        self.ledger.expect_all(replica);
        assert_eq!(dump(&replica.snapshot().unwrap()), dump(&primary.snapshot().unwrap()));
        let status = replica.replica_replication_status().unwrap().unwrap();
        assert_eq!((status.needs_reseed, &status.last_error), (false, &None));
        assert_eq!((status.state, status.lag_frames), (ReplicaState::Following, 0));
    }

    /// After a takeover: `leader` has all that was acknowledged, and `follower`, who led before, follows it. Only one
    /// whose log was taken away may need a reseed for that, which its operator must ask for by name.
    #[track_caller]
    pub fn expect_taken_over(&mut self, leader: &str, follower: &str, may_need_reseed: bool) {
        let primary = self.primary(leader);
        self.ledger.expect_all(&primary);
        self.commit(&primary);
        let mut replica = self.replica(follower, leader);
        if may_need_reseed && replica.replica_catch_up_once(1).is_err() {
            assert!(replica.replica_replication_status().unwrap().unwrap().needs_reseed);
            // It led, and what it holds cannot be told to be on the history of who leads now.
            let reseeded = replica.replica_reseed_from_snapshot();
            if reseeded.as_ref().is_err_and(|e| e.code() == ErrorCode::WouldOverwrite) {
                replica.close().unwrap();
                let part = self.part(follower, leader, 0, &[]);
                replica = Database::open(&part.path, part.options().replication_overwrite(true)).unwrap();
                replica.replica_reseed_from_snapshot().unwrap();
            } else {
                reseeded.unwrap();
            }
        }
        self.expect_caught_up(&replica, &primary);
        replica.close().unwrap();
        primary.close().unwrap();
    }
}

/// What a promoter says of a promotion that was done: the epoch, and the last commit that was kept.
pub fn won(line: &str) -> Option<(u64, Token)> {
    let (epoch, kept) = line.strip_prefix("won ")?.split_once(' ')?;
    Some((epoch.parse().unwrap(), kept.parse().unwrap()))
}

/// Whether a process holds the lock under which the fence in this control file is moved.
fn fence_is_locked(control: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    const FENCE_LOCK: u64 = (1 << 62) + 1;
    let Ok(file) = fs::metadata(control) else { return false };
    // Each line: number, kind, mode, access, process, device:inode, first byte, last byte.
    fs::read_to_string("/proc/locks").unwrap().lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [.., "WRITE", _, place, first, last] = words.as_slice() else { return false };
        place.rsplit(':').next() == Some(&file.ino().to_string())
            && first.parse().is_ok_and(|first: u64| first <= FENCE_LOCK)
            && last.parse().map_or(*last == "EOF", |last: u64| last >= FENCE_LOCK)
    })
}

/// Whether a file takes at least so many bytes on its disk.
pub fn takes(path: &Path, bytes: u64) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).is_ok_and(|file| file.blocks() * 512 >= bytes)
}
