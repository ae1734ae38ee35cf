//! `kitedb replica follow`: a process that does nothing but keep a replica up with its source, and says how that goes.

use super::status::{document, require_replica, shown};
use crate::{
    cli::FollowArgs,
    commands::{exit_without_log, fault_if, look_at, open_replica, signals, whole, write_json},
    failure::{EXIT_FAULT, Failure, Outcome, RESEED},
    output::reader_is_gone,
    render::{number::counted, style::clean},
};
use kitedb_core::{Database, ErrorKind, FollowerOptions, ReplicaReplicationStatus, ReplicaState, ReplicationRole};
use std::{
    io::Write,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, SystemTime},
};

/// How long after a look the next one comes at the earliest.
const PAUSE: Duration = Duration::from_millis(50);

/// How long after a look the next one comes at the latest: what became of the nodes that the source follows shows in a look
/// only.
const LOOK: Duration = Duration::from_secs(30);

/// A replica that is behind for less than this is not worth a line: under steady writes it always is, for a moment.
const BEHIND_FOR: Duration = Duration::from_secs(1);

pub fn run(args: &FollowArgs, out: &mut dyn Write) -> Outcome {
    let stopped = signals()?;
    let database = open_replica(&args.node.common, args.node.options())?;
    let mut told = Told { json: args.node.common.json, last: None };
    if args.once {
        return catch_up(database, args, &mut told, out);
    }
    let options = FollowerOptions::new().max_frames(args.max_frames as usize).poll_ms(args.poll_ms);
    database.start_follower(options)?;
    let news = news_of(&database, stopped);
    loop {
        let status = require_replica(&database)?;
        told.tell(&status, out)?;
        if reader_is_gone() {
            break;
        }
        let wait = if status.state == ReplicaState::Behind { BEHIND_FOR } else { LOOK };
        let stopped = match news.recv_timeout(wait) {
            Ok(News::Replica) => is_stopped(&news),
            Ok(News::Stopped) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        if stopped {
            break;
        }
    }
    database.stop_follower()?;
    if let Err(error) = database.close() {
        // What it pulled is in its log, or is pulled again: a status says whether anything is wrong.
        Failure::from(error).report();
    }
    ends_as_a_status(args, &mut told, false, out)
}

/// Ends as a status of the replica does that is asked for now, and prints what that says, or, `if_wrong`, only a fault.
fn ends_as_a_status(args: &FollowArgs, told: &mut Told, if_wrong: bool, out: &mut dyn Write) -> Outcome {
    let database = look_at(&args.node.common, args.node.look_options())?;
    let mut status = require_replica(&database).map_err(|failure| match database.replication_role() {
        ReplicationRole::Replica => failure.exit(exit_without_log(&database)),
        _ => failure,
    })?;
    let fault = status.fault().or(status.lost_replicas()).is_some();
    status.state = ReplicaState::Closed;
    if fault || !if_wrong {
        told.tell(&status, out)?;
    }
    whole(&database, fault_if(fault, out), out)
}

/// What ends the wait for the next look.
enum News {
    /// The follower tried to pull, or its state is another one.
    Replica,
    /// A signal.
    Stopped,
}

/// What comes of a replica, and of the operator.
fn news_of(database: &Database, stopped: Receiver<()>) -> Receiver<News> {
    let (sender, news) = mpsc::channel();
    let (tells, database) = (sender.clone(), database.clone());
    std::thread::spawn(move || watch(&database, &tells));
    std::thread::spawn(move || {
        let _ = stopped.recv();
        let _ = sender.send(News::Stopped);
    });
    news
}

fn watch(database: &Database, tells: &Sender<News>) {
    let mut seen = 0;
    // Until it is closed, or is no replica any more.
    while let Ok(news) = database.replica_wait_for_news(seen, u64::MAX) {
        seen = news;
        if tells.send(News::Replica).is_err() {
            return;
        }
    }
}

/// Lets a moment pass, in which under steady writes much comes. Whether a signal came by then.
fn is_stopped(news: &Receiver<News>) -> bool {
    std::thread::sleep(PAUSE);
    news.try_iter().any(|news| matches!(news, News::Stopped))
}

/// Takes over what the source has now, and ends, whether or not more comes meanwhile.
fn catch_up(database: Database, args: &FollowArgs, told: &mut Told, out: &mut dyn Write) -> Outcome {
    let mut head = None;
    loop {
        match database.replica_catch_up_once(args.max_frames as usize) {
            Ok(0) => break,
            Ok(_) => {
                let status = require_replica(&database)?;
                if status.applied_log_index >= *head.get_or_insert(status.source_head_log_index) {
                    break;
                }
            }
            Err(error) if error.kind() == ErrorKind::Reseed => {
                drop(database);
                let told = error.names_a_command();
                let failure = Failure::from(error).exit(EXIT_FAULT);
                return Err(if told { failure } else { failure.hint(how_to_reseed(args)) });
            }
            Err(error) => {
                // As a status of it ends, which tells the same of the source.
                let fault = require_replica(&database).is_ok_and(|status| status.source_fault.is_some());
                let failure = Failure::from(error);
                return Err(if fault { failure.exit(EXIT_FAULT) } else { failure });
            }
        }
    }
    told.tell(&require_replica(&database)?, out)?;
    // Its own log is cut now.
    database.close()?;
    ends_as_a_status(args, told, true, out)
}

/// Which command copies the source anew. What is no replica has a graph of its own, which goes only if that is asked for.
fn how_to_reseed(args: &FollowArgs) -> &'static str {
    let look = Database::open(&args.node.common.database, args.node.common.options().read_only(true));
    match look {
        Ok(look) if look.replication_role() != ReplicationRole::Replica => {
            "`kitedb replica reseed DB SOURCE --overwrite` replaces its own graph by the source's"
        }
        _ => RESEED,
    }
}

/// What has been said last.
struct Told {
    json: bool,
    last: Option<(ReplicaState, Option<String>)>,
}

impl Told {
    /// Prints a line if the state is another one than last time.
    fn tell(&mut self, status: &ReplicaReplicationStatus, out: &mut dyn Write) -> Outcome {
        let source_fault = status.source_fault.as_ref().map(ToString::to_string);
        let lost = status.lost_replicas();
        let why = status.last_error.as_ref().or(source_fault.as_ref()).or(lost.as_ref());
        let now = (status.state, why.cloned());
        let passing = status.state == ReplicaState::Behind && since(status) < BEHIND_FOR;
        if passing || self.last.as_ref() == Some(&now) {
            return Ok(());
        }
        if self.json {
            write_json(out, &document(status))?;
        } else {
            let at = format!("{}:{}", status.applied_epoch, status.applied_log_index);
            let more = match (why, status.state) {
                (Some(error), _) => format!(": {}", clean(error)),
                (None, ReplicaState::Behind) => format!(", {} to go", counted(status.lag_frames, "commit", "commits")),
                (None, _) => String::new(),
            };
            writeln!(out, "{} at {at}{more}", shown(status.state))?;
        }
        self.last = Some(now);
        Ok(out.flush()?)
    }
}

/// For how long it has been in its state.
fn since(status: &ReplicaReplicationStatus) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_millis(status.state_since_ms))
}
