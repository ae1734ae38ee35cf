//! Replication, as callers see it: each call finds the node's part in it, and does nothing else.

use super::{
    Database,
    open_file::{OpenFile, not_primary},
};
use crate::{
    db::ReplicationRole,
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    replication::{
        self, Comparison, Copied, Cursor, ExportedPage, ExportedSnapshot, FollowedLog, Follower, FollowerOptions,
        PrimaryReplicationStatus, Promotion, Replica, ReplicaReplicationStatus, RetentionOutcome, Rival, TokenWait,
        require_nobody_leads_instead, rivals_around, taken_around, wait_for_any_token, wait_for_token,
    },
    watch::{Watch, require_no_report},
};
use std::{path::PathBuf, sync::Arc, time::Duration};

impl OpenFile {
    /// What a primary's status is made from, in a read-only open, too.
    fn followed_log(&self) -> Option<&Arc<FollowedLog>> {
        self.followed_log.as_ref().filter(|_| self.engine.role() == ReplicationRole::Primary)
    }

    fn as_primary(&self) -> Result<&Arc<FollowedLog>> {
        let followed_log = self.as_readable_primary()?;
        self.engine.require_writable().map(|()| followed_log)
    }

    /// The same for who changes nothing: beside the process that writes, too.
    fn as_readable_primary(&self) -> Result<&Arc<FollowedLog>> {
        self.followed_log().ok_or_else(|| not_primary(&self.engine.path))
    }

    /// A primary, or a replica, which others may follow as well.
    fn as_followed(&self) -> Result<&Arc<FollowedLog>> {
        match &self.followed_log {
            Some(followed_log) => self.engine.require_writable().map(|()| followed_log),
            None => Err(not_primary(&self.engine.path)),
        }
    }

    fn as_replica(&self) -> Result<&Arc<Replica>> {
        match &self.replica {
            Some(replica) if self.engine.role() == ReplicationRole::Replica => Ok(replica),
            _ if self.engine.options.read_only => {
                let what = "Database is read-only: open it without read_only to replicate";
                Err(Error::new(ErrorCode::ReadOnly, what).with_path(&self.engine.path))
            }
            _ => Err(Error::new(
                ErrorCode::NotReplica,
                format_args!("{} is not opened in replica role", self.engine.path.display()),
            )
            .with_path(&self.engine.path)),
        }
    }
}

impl Database {
    /// What part this database plays in replication now: a promoted replica is a primary.
    pub fn replication_role(&self) -> ReplicationRole {
        self.handle.file.engine.role()
    }

    pub(super) fn lease(&self) -> Epoch {
        self.handle.lease.epoch()
    }

    /// What the primary knows of itself and its replicas; `None` if this is none. A read-only open in a replication
    /// role says what was so when it was opened, beside whatever process has the database open for writing.
    pub fn primary_replication_status(&self) -> Result<Option<PrimaryReplicationStatus>> {
        self.file()?.followed_log().map(|followed_log| followed_log.status(self.lease())).transpose()
    }

    /// Takes in how far a replica is that cannot report itself. The log is kept for it from there on.
    ///
    /// # Errors
    /// [`ErrorCode::EpochMismatch`] if `epoch` is not the primary's; [`ErrorCode::StalePrimary`] if it is fenced.
    pub fn primary_report_replica_progress(&self, replica_id: &str, epoch: u64, applied_log_index: u64) -> Result<()> {
        let file = self.file()?;
        let followed_log = file.as_primary()?;
        file.engine.require_leading(self.lease())?;
        followed_log.report(self.lease(), replica_id, Epoch(epoch), LogIndex(applied_log_index))
    }

    /// Forgets a replica, so that the log is no longer kept for it. It is named by its id, by at least 4 characters
    /// with which only its id begins, by its name, or by its path. Returns whether it was known. Works on a replica,
    /// too, for those that follow it. [`Database::remove_replica_at`] does the same beside the process that writes.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidArgument`] if that names several: the message lists them.
    pub fn primary_remove_replica(&self, replica: &str) -> Result<bool> {
        self.file()?.as_followed()?.remove(replica).map(|removed| removed.is_some())
    }

    /// Lets go of the segments of the log that neither windows, nor replicas, nor recovery ask for. Works on a
    /// replica, too. [`Database::run_retention_at`] has the process do so that has a database open.
    ///
    /// # Errors
    /// [`ErrorCode::RegistryLost`] if replicas that were registered are not known any more: then only the byte cap lets go
    /// of anything (see [`Database::confirm_replicas_at`]).
    pub fn primary_run_retention(&self) -> Result<RetentionOutcome> {
        let file = self.file()?;
        let followed_log = file.as_followed()?;
        if file.engine.role() == ReplicationRole::Primary {
            file.engine.require_leading(self.lease())?;
        }
        followed_log.run_retention(&file.engine.options.retention)
    }

    /// An image of this database at a new checkpoint (at the last one, where this handle only reads), to be carried elsewhere:
    /// what it is, the cursor from which pages of [`Database::primary_export_log`] go on, and the bytes of a database file that
    /// opens like any other. It stays readable while it lives, and keeps what it shows from being overwritten. Commits go on
    /// meanwhile.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`]; those of [`Database::checkpoint`].
    pub fn primary_export_snapshot(&self) -> Result<ExportedSnapshot> {
        self.file()?.as_readable_primary()?.export_snapshot()
    }

    /// A page of the log: the frames after `cursor` (`None`: from the oldest one on), at most `max_frames` of them with at
    /// most `max_bytes`, each verified and as the log holds it. Where the frames that should come next are gone, or the cursor
    /// is not on this log's history, the page's [`gap`](ExportedPage::gap) says so. A handle that only reads has the frames that were
    /// published when it was opened.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`]; [`ErrorCode::InvalidArgument`] if a limit is 0 or the first frame alone is larger than
    /// `max_bytes`; [`ErrorCode::Corrupt`] if the first frame does not verify (a later one ends the page).
    pub fn primary_export_log(
        &self,
        cursor: Option<Cursor>,
        max_frames: usize,
        max_bytes: usize,
    ) -> Result<ExportedPage> {
        self.file()?.as_readable_primary()?.export_log(cursor, max_frames, max_bytes)
    }

    /// Begins the next epoch. From then on every other handle to this log is fenced: its commits fail with
    /// [`ErrorCode::StalePrimary`]; this one goes on in the new epoch. Returns that.
    ///
    /// Where another node took over from this one, the epoch is later than any that is known of where others can be reached from
    /// here; both lead then, and [`Database::primary_rivals`] names the other one.
    ///
    /// A replica's file that was opened as a primary takes over from the source that it followed, as
    /// [`Database::replica_promote`] does without force.
    ///
    /// # Errors
    /// [`ErrorCode::StalePrimary`]: another handle was promoted, or another node took over while this one is open.
    /// [`ErrorCode::SourceUnavailable`] and others of [`Database::replica_promote`]: of a replica's file.
    pub fn primary_promote_to_next_epoch(&self) -> Result<u64> {
        self.promote_primary(false)
    }

    /// As [`Database::primary_promote_to_next_epoch`], by the word of an operator, who lets this node lead without what others
    /// have and it lacks ([`Database::primary_rivals`] names them): the epoch is later than any that is known of where others can
    /// be reached from here. What they have is theirs still: their reseed from this node asks before it gives that up.
    ///
    /// # Errors
    /// As there.
    pub fn primary_promote_by_force(&self) -> Result<u64> {
        self.promote_primary(true)
    }

    /// The nodes that lead in place of this primary, or hold what it lacks, as far as they can be reached from it: by who follows
    /// it, or did, by the source that it remembers, and by those that these know. Best first.
    ///
    /// # Errors
    /// [`ErrorCode::NotPrimary`] if this is none.
    pub fn primary_rivals(&self) -> Result<Vec<Rival>> {
        let file = self.file()?;
        file.as_primary()?;
        rivals_around(&file.engine, &file.source_env)
    }

    fn promote_primary(&self, by_force: bool) -> Result<u64> {
        let file = self.file()?;
        let followed_log = file.as_primary()?;
        let engine = &file.engine;
        let epoch = match file.opened_as_a_primary()? {
            Some(replica) => {
                // Held throughout: it is one promotion at a time.
                let _follower = file.follower.lock();
                Epoch(engine.guarded("a promotion", || replica.promote_as_a_primary())?.epoch)
            }
            None => {
                if !by_force {
                    require_nobody_leads_instead(engine, &file.source_env)?;
                }
                let known = match by_force || engine.was_taken_over()? {
                    true => taken_around(engine, &file.source_env)?,
                    false => Epoch::default(),
                };
                engine.guarded("a promotion", || engine.promote_in_place(&self.handle.lease, known))?
            }
        };
        followed_log.lead();
        self.handle.lease.lead(epoch);
        Ok(epoch.0)
    }

    /// Replaces this replica's graph by a snapshot of its source's, and catches up to what the source had published
    /// when the call began. The source goes on at full rate. A crash leaves the old graph or the new one; an
    /// interrupted copy resumes with the next call.
    pub fn replica_bootstrap_from_snapshot(&self) -> Result<()> {
        self.replica_bootstrap_with(&Watch::nobody())
    }

    /// As [`Database::replica_bootstrap_from_snapshot`], under the eyes of `watch`. Where that one ends it before the copy is
    /// whole, the old graph is in place, what is copied is kept, and the next call goes on with it; where it ends the catching
    /// up after that, the new graph is in place, and the next pull goes on.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::replica_bootstrap_from_snapshot`].
    pub fn replica_bootstrap_with(&self, watch: &Watch) -> Result<()> {
        self.replica_copy_source_with(watch).map(drop)
    }

    /// As [`Database::replica_bootstrap_from_snapshot`], and says what that did to others: which replicas followed this node
    /// and cannot go on here, who else is registered with the source from this replica's path, and who has more than the source.
    pub fn replica_copy_source(&self) -> Result<Copied> {
        self.replica_copy_source_with(&Watch::nobody())
    }

    /// As [`Database::replica_copy_source`], under the eyes of `watch`, which ends it as it does
    /// [`Database::replica_bootstrap_with`].
    ///
    /// # Errors
    /// Those of [`Database::replica_bootstrap_with`].
    pub fn replica_copy_source_with(&self, watch: &Watch) -> Result<Copied> {
        require_no_report("a bootstrap")?;
        let file = self.file()?;
        file.require_not_asked("a bootstrap")?;
        let replica = file.as_replica()?;
        let copied = replica.bootstrap(watch)?;
        Ok(Copied { ahead_of_source: replica.ahead_of_source(), ..copied })
    }

    /// The same as [`Database::replica_bootstrap_from_snapshot`], for a replica that needs a reseed.
    pub fn replica_reseed_from_snapshot(&self) -> Result<()> {
        self.replica_bootstrap_from_snapshot()
    }

    /// As [`Database::replica_bootstrap_with`], for a replica that needs a reseed.
    ///
    /// # Errors
    /// As [`Database::replica_bootstrap_with`].
    pub fn replica_reseed_with(&self, watch: &Watch) -> Result<()> {
        self.replica_bootstrap_with(watch)
    }

    /// Pulls and applies up to `max_frames` frames (0 counts as 1). Returns how many; 0: there is nothing new.
    ///
    /// # Errors
    /// What was applied before an error stays. [`ErrorCode::NeedsReseed`]: do not try again, reseed.
    pub fn replica_catch_up_once(&self, max_frames: usize) -> Result<usize> {
        require_no_report("a pull")?;
        let file = self.file()?;
        file.require_not_asked("a pull")?;
        file.as_replica()?.catch_up_once(max_frames)
    }

    /// What the replica knows of itself; `None` if this is none. A read-only open in a replication role says what was
    /// so when it was opened, beside whatever process follows; it knows the lag only if the source's path is given.
    pub fn replica_replication_status(&self) -> Result<Option<ReplicaReplicationStatus>> {
        let file = self.file()?;
        match file.as_replica() {
            Ok(replica) => Ok(Some(replica.status())),
            Err(_) => file.look_at_replica(),
        }
    }

    /// Makes this replica the primary of the next epoch, on its own files: fences its source, takes everything that
    /// was acknowledged there, and begins to take writes. With `force`, also where the source cannot be fenced or
    /// read to its end: then what only the source had is lost, and [`Promotion::last_kept`] says what is not.
    ///
    /// It can be called again after a failure or a crash. A background follower ends with it; if the promotion fails, it
    /// is started again.
    ///
    /// # Errors
    /// [`ErrorCode::StalePrimary`]: another replica took over from the source, or the source took the lead back.
    pub fn replica_promote(&self, force: bool) -> Result<Promotion> {
        require_no_report("a promotion")?;
        let file = self.file()?;
        file.require_not_asked("a promotion")?;
        let replica = file.as_replica()?;
        // Held throughout: nobody starts another one meanwhile.
        let mut follower = file.follower.lock();
        let followed = follower.take().map(|follower| follower.options());
        let promotion = match file.engine.guarded("a promotion", || replica.promote(force)) {
            Ok(promotion) => promotion,
            Err(e) => {
                if let Some(options) = followed {
                    *follower = Some(Follower::start(replica, options).map_err(|failed| {
                        e.clone().context(format_args!("the follower could not be started again ({failed})"))
                    })?);
                }
                return Err(e);
            }
        };
        file.followed_log.iter().for_each(|followed_log| followed_log.lead());
        self.handle.lease.lead(Epoch(promotion.epoch));
        Ok(promotion)
    }

    /// The nodes that lead, or hold commits that this replica lacks, as far as they can be reached: by the source that it
    /// remembers, whatever it is told to follow now, by who follows it, and by those that these know. Its source is one of
    /// them while it leads. For who is about to promote this replica by force, or looks for the node to follow; also in a read-only
    /// open.
    ///
    /// # Errors
    /// [`ErrorCode::NotReplica`].
    pub fn replica_rivals(&self) -> Result<Vec<Rival>> {
        let file = self.file()?;
        file.rivals_of_look().map_or_else(|| file.as_replica()?.rivals(), Ok)
    }

    /// The source that this primary followed as a replica before it took over; `None` if it never followed one, or is no
    /// primary.
    pub fn took_over_from(&self) -> Result<Option<PathBuf>> {
        let file = self.file()?;
        let followed = file.followed_log().and_then(|_| file.remembered());
        Ok(followed.map(|followed| followed.paths.db))
    }

    /// Follows the database at `source_db_path` from now on (its sidecar by default lies beside it). What this
    /// replica holds must be on that one's history; else the next catch-up says that it needs a reseed.
    pub fn replica_repoint(
        &self,
        source_db_path: impl Into<PathBuf>,
        source_sidecar_path: Option<PathBuf>,
    ) -> Result<()> {
        require_no_report("a repoint")?;
        let file = self.file()?;
        file.require_not_asked("a repoint")?;
        let replica = file.as_replica()?;
        let paths = file.checked_paths(source_db_path.into(), source_sidecar_path)?;
        let source = Arc::new(file.source(&paths));
        replica.repoint(paths, source)
    }

    /// Follows the source in the background, until [`Database::stop_follower`], a promotion, or close. Failures show
    /// in [`Database::replica_replication_status`] and are tried again.
    pub fn start_follower(&self, options: FollowerOptions) -> Result<()> {
        require_no_report("a follower")?;
        let file = self.file()?;
        file.require_not_asked("a follower")?;
        let replica = file.as_replica()?;
        let mut follower = file.follower.lock();
        *follower = None;
        *follower = Some(Follower::start(replica, options)?);
        Ok(())
    }

    /// Waits until a try to pull has ended, in the background or by a call, or the state of the replica has changed, more
    /// than `seen` times, for at most `timeout_ms`; returns how often that was by then. For whoever shows the status of a
    /// replica. What became of the nodes that its source follows shows in a status only.
    ///
    /// # Errors
    /// [`ErrorCode::Closed`] where the database is closed meanwhile; [`ErrorCode::NotReplica`].
    pub fn replica_wait_for_news(&self, seen: u64, timeout_ms: u64) -> Result<u64> {
        self.replica_wait_for_news_with(seen, timeout_ms, &Watch::nobody())
    }

    /// As [`Database::replica_wait_for_news`], until `watch` ends it.
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::replica_wait_for_news`].
    pub fn replica_wait_for_news_with(&self, seen: u64, timeout_ms: u64, watch: &Watch) -> Result<u64> {
        self.file()?.as_replica()?.wait_for_news(seen, Duration::from_millis(timeout_ms), watch)
    }

    /// Ends the background follower, if there is one, after what it is doing.
    pub fn stop_follower(&self) -> Result<()> {
        require_no_report("the end of a follower")?;
        let file = self.file()?;
        file.require_not_asked("the end of a follower")?;
        let follower = file.follower.lock().take();
        drop(follower);
        Ok(())
    }

    /// Waits until this node shows the commit that `token` names, for at most `timeout_ms`. `false`: it does not.
    pub fn wait_for_token(&self, token: Token, timeout_ms: u64) -> Result<bool> {
        Ok(self.wait_for_token_outcome(token, timeout_ms)? == TokenWait::Reached)
    }

    /// As [`Database::wait_for_token`], saying why it was not reached.
    pub fn wait_for_token_outcome(&self, token: Token, timeout_ms: u64) -> Result<TokenWait> {
        self.wait_for_token_outcome_with(token, timeout_ms, &Watch::nobody())
    }

    /// As [`Database::wait_for_token_outcome`], until `watch` ends it.
    ///
    /// ```
    /// use kitedb_core::{Database, ErrorCode, Watch};
    /// # fn main() -> kitedb_core::Result<()> {
    /// let (db, watch) = (Database::in_memory()?, Watch::silent());
    /// let waits = std::thread::spawn({
    ///     let (db, watch) = (db.clone(), watch.clone());
    ///     move || db.wait_for_token_outcome_with("1:1".parse()?, u64::MAX, &watch)
    /// });
    /// watch.cancel();
    /// assert_eq!(waits.join().unwrap().unwrap_err().code(), ErrorCode::Cancelled);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::wait_for_token_outcome`].
    pub fn wait_for_token_outcome_with(&self, token: Token, timeout_ms: u64, watch: &Watch) -> Result<TokenWait> {
        wait_for_token(self.engine()?, token, Duration::from_millis(timeout_ms), watch)
    }

    /// As [`Database::wait_for_token_outcome_with`] for several tokens, until something can be said of one of them: what can be
    /// said of each by then, in their order; `None`: nothing yet. So one thread waits for whatever many clients ask for.
    ///
    /// ```
    /// use kitedb_core::{Database, TokenWait, Watch};
    /// # fn main() -> kitedb_core::Result<()> {
    /// let db = Database::in_memory()?;
    /// let mut tx = db.begin()?;
    /// tx.create_node(None)?;
    /// let tokens = [tx.commit()?, "1:99".parse()?];
    /// let outcomes = db.wait_for_any_token_with(&tokens, u64::MAX, &Watch::silent())?;
    /// assert_eq!(outcomes, [Some(TokenWait::Reached), None]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorCode::Cancelled`]; those of [`Database::wait_for_token_outcome`].
    pub fn wait_for_any_token_with(
        &self,
        tokens: &[Token],
        timeout_ms: u64,
        watch: &Watch,
    ) -> Result<Vec<Option<TokenWait>>> {
        wait_for_any_token(self.engine()?, tokens, Duration::from_millis(timeout_ms), watch)
    }
}

/// Compares two databases, each as it is now: on the same history, one may be ahead of the other. Their digests are
/// compared, which their commits left; what they hold is read only where these differ ([`compare_deep`] reads it in any case).
///
/// ```
/// use kitedb_core::{Database, OpenOptions, compare};
/// # fn main() -> kitedb_core::Result<()> {
/// # let dir = tempfile::tempdir().unwrap();
/// let open = |name| Database::open(dir.path().join(name), OpenOptions::new());
/// let (a, b) = (open("a.kitedb")?, open("b.kitedb")?);
/// assert_eq!(compare(&a, &b)?.equal, Some(true));
/// for db in [&a, &b] {
///     db.transaction(|tx| tx.create_node(Some("ada")))?;
/// }
/// b.transaction(|tx| tx.create_node(Some("charles")))?;
/// let found = compare(&a, &b)?;
/// assert_eq!((found.equal, found.lead()), (Some(true), -1));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of reading either of them.
pub fn compare(a: &Database, b: &Database) -> Result<Comparison> {
    compare_with(a, b, &Watch::nobody())
}

/// As [`compare`], under the eyes of `watch`, which can end it.
///
/// # Errors
/// [`ErrorCode::Cancelled`]; those of [`compare`].
pub fn compare_with(a: &Database, b: &Database, watch: &Watch) -> Result<Comparison> {
    replication::compare(a.engine()?, b.engine()?, false, watch)
}

/// As [`compare`], reading and comparing every element of two databases that are at the same commit, also where their
/// digests are equal ([`Comparison::elements_compared`]). It verifies what it reads; [`Database::check`] of each verifies
/// the rest.
///
/// # Errors
/// Those of reading either of them.
pub fn compare_deep(a: &Database, b: &Database) -> Result<Comparison> {
    compare_deep_with(a, b, &Watch::nobody())
}

/// As [`compare_deep`], under the eyes of `watch`, which can end it.
///
/// # Errors
/// [`ErrorCode::Cancelled`]; those of [`compare_deep`].
pub fn compare_deep_with(a: &Database, b: &Database, watch: &Watch) -> Result<Comparison> {
    replication::compare(a.engine()?, b.engine()?, true, watch)
}
