//! What an operator says of a file that no process has open: each changes what the file is, and is asked for by name.

use super::{Database, in_memory::require_file, open_file::open_here};
use crate::{
    db::{
        CutShort, Detached, Leaver, LeftFollower, OpenOptions, Repair, RepairOptions, StillRegistered, confirm_moved,
        detach, env_of, identity_of, repair, resolved,
    },
    error::{Error, ErrorCode, Result},
    graph::Token,
    io::{Env, FileIdentity, OpenMode},
    log::Control,
    replication::{
        Leaving, Others, Registration, Registry, Rival, go_on_with_lead_begun, require_no_lead_begun, require_no_rival,
        rivals_of,
    },
    shell::command,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What [`Database::confirm_moved`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfirmedMove {
    /// The epoch that it leads.
    pub epoch: u64,
    /// Who could not be looked at, one line for each: if one of them leads, or holds more, there are two histories.
    pub not_seen: Vec<String>,
}

impl Database {
    /// Makes the file at `path` a database of its own: stand-alone, with a new file id and a new history, holding every
    /// commit that the file or its log holds. What it was (a copy for analysis, a replica, a primary) it is no more. The
    /// source of a replica keeps its log for it no longer; where it cannot be told, [`Detached::still_registered`] says so. Those that
    /// followed it are [`Detached::followers`].
    ///
    /// ```
    /// use kitedb_core::{Database, GraphRead, OpenOptions, ReplicationRole};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (dir.path().join("social.kitedb"), dir.path().join("analysis.kitedb"));
    /// let db = Database::open(&path, OpenOptions::new().replication_role(ReplicationRole::Primary))?;
    /// db.transaction(|tx| tx.create_node(Some("ada")))?;
    /// db.close()?;
    /// std::fs::copy(&path, &copy).unwrap();
    /// Database::detach(&copy)?;
    /// let alone = Database::open(&copy, OpenOptions::new())?;
    /// assert_eq!(alone.replication_role(), ReplicationRole::Disabled);
    /// assert_eq!(alone.snapshot()?.count_nodes(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Locked`] while anybody has it open for writing; [`ErrorCode::LogMismatch`] or
    /// [`ErrorCode::Corrupt`] where commits are only in a log that is not there or cannot be read; those of its recovery.
    /// [`ErrorCode::WouldOverwrite`] of a replica whose promotion ended its source's epoch and was cut short: nobody else can
    /// complete that (`replication_overwrite`: the lead goes with it).
    pub fn detach(path: impl AsRef<Path>) -> Result<Detached> {
        require_file(path.as_ref(), "a detachment")?;
        Self::detach_in(Env::real(), path, OpenOptions::new())
    }

    /// As [`Database::detach`], on a disk of the caller's; the options say where its sidecar is, and how it is recovered.
    /// With `replication_overwrite` it goes on without the commits of a log that is gone: [`Detached::missing`] tells.
    pub fn detach_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<Detached> {
        let (here, path, identity) = alone(&env, path.as_ref())?;
        // What cannot be looked at now is not detached either.
        let (replica, leaver) = match CutShort::look(&here, &path)? {
            Some(cut) => (cut.of_replica(&here, &path).unwrap_or_default(), None),
            None => {
                let leaver = Leaver::at(&here, &path, &options).unwrap_or_default();
                let replica = leaver.as_ref().filter(|leaver| leaver.follows && !leaver.log_is_gone);
                (replica.map(|leaver| (leaver.dir.clone(), leaver.file_id)), leaver)
            }
        };
        let followers = leaver.as_ref().map_or_else(Vec::new, |leaver| followers_of(&here, leaver));
        if let Some((dir, _)) = replica.as_ref().filter(|_| !options.overwrite) {
            require_no_lead_begun(&here, &path, dir)?;
        }
        let leaving = replica.and_then(|(dir, file_id)| Leaving::of((&env, &env), &path, &dir, file_id));
        let mut left = None;
        let mut leave = || left = leaving.as_ref().map(Leaving::leave);
        let detached = detach(&here, &path, options, identity, &mut leave)?;
        let still_registered = leaver.as_ref().filter(|leaver| leaver.follows && leaver.log_is_gone).map(unknown_to);
        let detached = Detached { followers, still_registered, ..detached };
        let Some((leaving, left)) = leaving.zip(left) else { return Ok(detached) };
        let source = leaving.source_db_path();
        Ok(match left {
            Ok(known) => Detached { left_source: source.filter(|_| known), ..detached },
            Err(e) => {
                let still_registered = Some(StillRegistered::new(source, leaving.replica_id, &e));
                Detached { still_registered, ..detached }
            }
        })
    }

    /// Lets a primary lead whose files were copied, moved to another file system or restored: in place of the one that it
    /// was copied from, which must not write again. It begins a new epoch, with a writer of its own. Whoever may hold more and
    /// could not be looked at is named.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if nothing tells that the files are others than before; [`ErrorCode::Locked`] while
    /// anybody has it open for writing; [`ErrorCode::StalePrimary`] if another node took over from it, or one that it can reach
    /// (the one that it was copied from, a registered replica, one beside it that follows it, and those that these know; of one whose
    /// file is gone its log tells) leads or holds more, or had by its last report and cannot be looked at, and
    /// [`ErrorCode::LogMismatch`] if its log, which would tell that, is not there (`replication_overwrite`: it leads all the
    /// same).
    pub fn confirm_moved(path: impl AsRef<Path>) -> Result<ConfirmedMove> {
        require_file(path.as_ref(), "a confirmation")?;
        Self::confirm_moved_in(Env::real(), path, OpenOptions::new())
    }

    /// As [`Database::confirm_moved`], on a disk of the caller's; the options say where its sidecar is.
    pub fn confirm_moved_in(env: Env, path: impl AsRef<Path>, options: OpenOptions) -> Result<ConfirmedMove> {
        let (here, path, identity) = alone(&env, path.as_ref())?;
        let (sidecar, told) = (options.sidecar_path.clone(), options.overwrite);
        let look = || {
            let Others { taken, unseen } = require_no_rival(&env, &path, sidecar.clone(), told)?;
            Ok((taken, unseen))
        };
        let (epoch, not_seen) = confirm_moved(&here, &path, options, identity, &look)?;
        Ok(ConfirmedMove { epoch: epoch.0, not_seen })
    }

    /// Mends the log of the database at `path`: a control file that is damaged or gone is made anew from what the frames
    /// prove, and a log that ends in damage is cut there if [`RepairOptions::cut_at`] says so. No frame that verifies is
    /// given up but by that word, and nothing is thrown away: what was there lies aside ([`Repair::put_aside`]).
    ///
    /// A primary whose control file was lost comes back fenced: it reads, and leads once it is promoted
    /// ([`Database::primary_promote_to_next_epoch`]), because nothing else knew whether another node took over from it.
    ///
    /// ```
    /// use kitedb_core::{Database, ErrorCode, OpenOptions, RepairOptions, ReplicationRole};
    /// # fn main() -> kitedb_core::Result<()> {
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("social.kitedb");
    /// let primary = || OpenOptions::new().replication_role(ReplicationRole::Primary);
    /// let db = Database::open(&path, primary())?;
    /// db.transaction(|tx| tx.create_node(Some("ada")))?;
    /// db.close()?;
    /// std::fs::remove_file(dir.path().join("social.kitedb.replication/control")).unwrap();
    /// assert!(Database::open(&path, primary()).is_err());
    /// let repair = Database::repair(&path, RepairOptions::new())?;
    /// assert!(repair.done && repair.fenced);
    /// let db = Database::open(&path, primary())?;
    /// let error = db.transaction(|tx| tx.create_node(Some("charles"))).unwrap_err();
    /// assert_eq!(error.code(), ErrorCode::StalePrimary);
    /// db.primary_promote_to_next_epoch()?;
    /// db.transaction(|tx| tx.create_node(Some("charles")))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Locked`] while anybody has it open for writing; [`ErrorCode::Corrupt`] where commits lie behind damage
    /// and `cut_at` does not name the last one before it, or where the database file itself is damaged beyond opening;
    /// [`ErrorCode::LogMismatch`] where the log of a file that was closed, or of a replica, is not there: the message says what
    /// to do.
    pub fn repair(path: impl AsRef<Path>, options: RepairOptions) -> Result<Repair> {
        require_file(path.as_ref(), "a repair")?;
        Self::repair_in(Env::real(), path, options)
    }

    /// As [`Database::repair`], on a disk of the caller's.
    pub fn repair_in(env: Env, path: impl AsRef<Path>, options: RepairOptions) -> Result<Repair> {
        let (here, path, _) = alone(&env, path.as_ref())?;
        // Before anything is changed.
        let rivals = rivals_of(&env, &path, options.open.sidecar_path.clone());
        let tell = |rival: &Rival| format!("{rival}: it has what is missing here, or leads in its place");
        let leader = rivals.iter().find(|rival| rival.is_led()).map(ToString::to_string);
        let repaired = repair(&here, &path, &options, (&Registry::reported_in, leader.as_deref()));
        let mut repair = repaired.map_err(|e| match rivals.first() {
            Some(rival) if matches!(e.code(), ErrorCode::Corrupt | ErrorCode::LogMismatch) => e.and(tell(rival)),
            _ => e,
        })?;
        let clean = repair.is_clean();
        {
            let untold = |rival: &&Rival| {
                if clean && !rival.is_led() {
                    return false;
                }
                let db = rival.db.display().to_string();
                // That it leads, nothing else says.
                rival.is_led() || !repair.found.iter().chain(&repair.remains).any(|told| told.contains(&db))
            };
            let told: Vec<_> = rivals.iter().filter(untold).map(tell).collect();
            repair.remains.extend(told);
        }
        if let (false, Some(dir)) = (options.dry_run, repair.log_dir.clone())
            && go_on_with_lead_begun(&here, &env, &path, &dir)?
        {
            let promote = command("replica promote", &path, "");
            repair.done = true;
            repair.steps.push(format!(
                "go on with the promotion that it has begun, which ended its source's epoch ({promote})"
            ));
        }
        let env = here;
        let loss = match &repair.log_dir {
            Some(dir) => Registry::loss_at(&env, dir),
            None => Ok(None),
        };
        match loss {
            Ok(loss) => repair.remains.extend(loss.map(|loss| loss.to_string())),
            // Of a dry run: that is among what was found.
            Err(e) if e.code() == ErrorCode::Corrupt => {}
            Err(e) => repair.remains.push(e.to_string()),
        }
        Ok(repair)
    }
}

/// The replicas that are registered with a node, as far as that can be read.
fn followers_of(env: &Env, leaver: &Leaver) -> Vec<LeftFollower> {
    let registered = || {
        let control = Control::open(&*env.disk, &leaver.dir, OpenMode::Read)?.map(Arc::new);
        let registry = control.map(|control| Registry::look(env, &leaver.dir, control)).transpose()?.flatten();
        Ok::<_, Error>(registry.map(|registry| registry.registrations()))
    };
    let follower = |found: Registration| {
        let labels = (found.labels.name, found.labels.path);
        LeftFollower::new(found.replica_id, labels, Token::new(found.epoch, found.applied))
    };
    // What cannot be read keeps nobody from detaching the node.
    registered().ok().flatten().unwrap_or_default().into_iter().map(follower).collect()
}

/// The registration of a replica of which only the file is left: its log, which remembered where it is registered, is gone.
fn unknown_to(leaver: &Leaver) -> StillRegistered {
    let id = leaver.file_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let what = format_args!(
        "which source that is, only its log told, which should be in {} and is not there; unless this was a copy, under whose id \
         the replica is registered that it was copied from",
        leaver.dir.display()
    );
    StillRegistered::new(None, id, &Error::new(ErrorCode::SourceUnavailable, what))
}

/// The file at `path`, which must exist and not be open in this process.
fn alone(env: &Env, path: &Path) -> Result<(Env, PathBuf, FileIdentity)> {
    let path = resolved(env, path)?;
    let identity = identity_of(env, &path)?;
    if open_here(identity) {
        let what = format_args!("{} is open for writing in this process: close it first", path.display());
        return Err(Error::new(ErrorCode::Locked, what).with_path(&path).with_pid(env.host.process_id()));
    }
    Ok((env_of(env, &path)?, path, identity))
}
