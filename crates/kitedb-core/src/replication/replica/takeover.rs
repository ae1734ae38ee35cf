//! A replica takes over from its source.

use super::Replica;
use crate::{
    db::{ReplicationRole, half_made, holds_nothing},
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex, Token},
    log::WriterId,
    replication::{
        related::Related,
        replica::catch_up_before_fence::Approach,
        rivals::{Rival, taken_by},
        source::{
            Fenced, Seen, Source,
            remembered::{remember, remembered},
        },
        status::ReplicaState,
    },
    shell::{command, shell_word},
};
use std::path::PathBuf;

/// What a promotion of a replica did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Promotion {
    /// The epoch that this node leads now.
    pub epoch: u64,
    /// The last commit of the history before it that this node keeps.
    pub last_kept: Token,
    /// Whether the old source was fenced. If not, commits that it acknowledged after [`Promotion::last_kept`] are
    /// lost.
    pub source_fenced: bool,
    /// Whether that fence is durable at the source. If not, although the source was fenced, its machine may have
    /// forgotten it after a loss of power: keep it off until it follows this node.
    pub fence_synced: bool,
    /// Whether the log that was fenced is known to be the one that the source uses. If not, its file was not there, and the promotion
    /// was forced: what that file acknowledged with another log, where it lies now, is lost, and it is not fenced.
    pub source_found: bool,
    /// The epoch of another promotion that had fenced the source before, where this one was forced beside it: that node
    /// may lead, too, on a history of its own.
    pub rival_epoch: Option<u64>,
}

impl Replica {
    /// Takes over: fences the source, takes everything that it acknowledged, and begins the next epoch on this
    /// node's own files. With `force`, also where the source cannot be fenced or read to its end.
    pub fn promote(&self, force: bool) -> Result<Promotion> {
        let mut work = self.working.lock();
        self.require_replica()?;
        // Also by force: what is no replica leads as what it is, or not at all.
        self.engine.require_not_foreign()?;
        if self.engine.is_half_made() {
            // Nor does what has nothing to lead with.
            let what = format_args!(
                "{}, or promote another replica",
                half_made(&self.engine.env, &self.engine.path, &self.engine.log_dir)
            );
            return Err(Error::new(ErrorCode::NotReplica, what));
        }
        if force && self.engine.is_unfilled() {
            // Unless it takes all of its source's log, which it does not by force.
            let what = format_args!(
                "{}, or promote another replica",
                holds_nothing(&self.engine.env, &self.engine.path, &self.engine.log_dir)
            );
            return Err(Error::new(ErrorCode::NotReplica, what));
        }
        if self.engine.opened.has_beyond() {
            // Once it is mended it has more to lead with.
            self.engine.require_undamaged()?;
        }
        if self.control.needs_reseed() && !force {
            let what =
                "needs reseed: this replica is not on its source's history, so it cannot take over from it: reseed it";
            return Err(Error::new(ErrorCode::NeedsReseed, what));
        }
        if !force {
            self.require_sound()?;
        }
        let promotion = match self.take_over(force) {
            Ok(promotion) => promotion,
            Err(e) if force => {
                tracing::warn!("a promotion is forced although its source could not be fenced: {e}");
                self.take_what_is_left();
                let seen = self.source().seen().ok();
                // An epoch is one node's: where another one's is known, this one's is later.
                let beside = seen.map(|seen| seen.beside(self.control.promotion())).unwrap_or_default();
                // Also one that another promotion raised the fence to, which may yet come to its end.
                let beside = beside.epoch.max(self.control.seen_epoch().epoch);
                // And what others know that this node can reach, whatever source it was told.
                let own = Related::open_here(&self.engine, &self.control)?;
                let family = own.family(&self.source_env);
                let epoch = self.epoch_after(Epoch(beside.max(taken_by(&family)).0 + 1))?;
                let led = own.rivals(&family).iter().filter_map(|rival| rival.leads.or(rival.knows_epoch)).max();
                // Not that of the source which could not be fenced.
                let led = led.map(Epoch).filter(|led| *led > self.engine.epoch());
                let rival = seen.and_then(|seen| self.rival(&seen)).max(led);
                let last_kept = self.engine.promote_replica(epoch, self.engine.env.host.random(), &mut || Ok(()))?;
                let rival_epoch = rival.map(|epoch| epoch.0);
                if let Err(e) = self.remember_source(false) {
                    tracing::warn!("from which source this replica took over was not noted: {e}");
                }
                let (source_fenced, fence_synced, source_found) = (false, false, false);
                Promotion { epoch: epoch.0, last_kept, source_fenced, fence_synced, source_found, rival_epoch }
            }
            Err(e) => return Err(e),
        };
        self.control.set_needs_reseed(false);
        self.control.set_last_error(None);
        self.enter(ReplicaState::Promoted);
        self.leave_sources_taken_over(&mut work, promotion.source_fenced);
        work.checkpoints = self.engine.checkpoints();
        Ok(promotion)
    }

    /// Fails where this node's own file or log is known to be damaged, before anything is fenced: a primary that is whole must not give
    /// way to that. It looks at no more than what is known, and the headers and ends of the log: a check of all of it may take long,
    /// and is its operator's to ask for.
    fn require_sound(&self) -> Result<()> {
        let of_log = || self.followed_log.unfit_to_lead(self.engine.published());
        let what = match self.engine.damage() {
            Some(damage) => damage.to_string(),
            None => match of_log()? {
                Some(fault) => fault,
                None => return Ok(()),
            },
        };
        let what = format_args!(
            "needs reseed: {shown} is damaged itself, and nothing was fenced for it: {what}. Reseed it and promote it then ({reseed}), or \
             promote another replica; only where no other node has what this one has, force it ({force})",
            shown = self.engine.path.display(),
            reseed = command("replica reseed", &self.engine.path, ""),
            force = command("replica promote", &self.engine.path, "--force"),
        );
        Err(Error::new(ErrorCode::NeedsReseed, what).with_path(&self.engine.path))
    }

    /// As [`Replica::promote`] without force, of a file that was opened as a primary: where it fails, it goes on as that.
    pub fn promote_as_a_primary(&self) -> Result<Promotion> {
        let names = self.engine.names();
        if !names.follow(true) {
            let what = "transactions that were begun here have defined names, which the source may give other ids: end them, \
                        then promote it again";
            return Err(Error::new(ErrorCode::Locked, what));
        }
        self.engine.set_role(ReplicationRole::Replica);
        let promotion = self.promote(false);
        self.engine.set_role(ReplicationRole::Primary);
        names.follow(false);
        promotion
    }

    /// Remembers whom it takes over from, or follows; unless `anew`, only if it knows of none yet.
    pub(super) fn remember_source(&self, anew: bool) -> Result<()> {
        match self.paths() {
            Some(paths) if anew || remembered(&self.engine, &self.source_env).is_none() => {
                remember(&self.engine, &self.source_env, &paths, false)
            }
            _ => Ok(()),
        }
    }

    /// The nodes that lead, or hold what this replica lacks, as far as they can be reached from it: by the source that it
    /// remembers, by who follows it, and by those that these know.
    pub fn rivals(&self) -> Result<Vec<Rival>> {
        let own = Related::open_here(&self.engine, &self.control)?;
        Ok(own.rivals(&own.family(&self.source_env)))
    }

    /// A node that leads and is not the source, as far as it can be reached, and whose file is there to be followed, with its epoch.
    pub(super) fn leader_elsewhere(&self) -> Option<(PathBuf, u64)> {
        let source = self.paths().map(|paths| paths.db);
        let leads = |rival: &Rival| rival.can_be_followed() && source.as_ref() != Some(&rival.db);
        self.rivals().ok()?.into_iter().find(leads).and_then(|rival| Some((rival.db, rival.leads?)))
    }

    /// The epoch of another node that took over from the source, as far as the source can tell.
    fn rival(&self, seen: &Seen) -> Option<Epoch> {
        let moved = seen.moved().filter(|_| !seen.assumed)?;
        (moved.by != self.control.promotion()).then_some(moved.epoch)
    }

    /// Takes what the source has published by now, as far as that can be read.
    fn take_what_is_left(&self) {
        let Ok(head) = self.source().head() else { return };
        while self.engine.published() < head && matches!(self.pull(usize::MAX, head), Ok(1..)) {}
    }

    /// The steps of a promotion, in their order. A crash, or a failure, before the fence leaves everything as it was; one
    /// after it leaves a source that is fenced, and a replica: the promotion can be called again, by this replica or
    /// another one, or the source takes the lead back.
    fn take_over(&self, force: bool) -> Result<Promotion> {
        let source = self.source();
        // Before this replica reports: to a copy of its primary nothing is told.
        let source_found = source.require_fenceable(force)?;
        let owner = self.control.promotion();
        let goes_on = self.may_go_on(&*source, owner)?;
        let owner = if goes_on { owner } else { self.engine.env.host.random() };
        if !goes_on {
            // One that goes on may have led its epoch already, and be ahead of its source.
            self.come_close(&*source)?;
        }
        self.require_nobody_else_leads(&*source, force)?;
        self.engine.require_room_for_epoch()?;
        self.remember_source(false)?;
        // Durable before the fence is moved, so that this replica knows it for its own after a crash.
        self.control.set_promotion(owner)?;
        self.control.sync()?;
        let fencing = source.fence(owner, self.engine.published())?;
        let fenced = fencing.fenced();
        self.drain(&*source, &fenced)?;
        let epoch = self.epoch_after(fenced.next)?;
        let mut fence_synced = false;
        let last_kept = self.engine.promote_replica(epoch, owner, &mut || {
            fence_synced = fencing.complete()?;
            Ok(())
        })?;
        let (source_fenced, rival_epoch) = (true, None);
        Ok(Promotion { epoch: epoch.0, last_kept, source_fenced, fence_synced, source_found, rival_epoch })
    }

    /// Whether a promotion of this replica, which was cut short, goes on: also one that was done before anybody learned of
    /// it. If not, this is another one.
    fn may_go_on(&self, source: &dyn Source, owner: WriterId) -> Result<bool> {
        if owner == [0; 16] {
            return Ok(false);
        }
        if source.seen()?.moved().is_some_and(|moved| moved.by == owner) {
            return Ok(self.engine.may_go_on_as(owner));
        }
        if !self.engine.has_begun_as(owner)? {
            return Ok(false);
        }
        // It had begun its epoch here, and never came to say so there.
        self.control.set_promotion([0; 16])?;
        self.control.sync()?;
        let what = "stale primary: this replica's promotion was cut short, and meanwhile its source took the lead back, or \
                    another replica took over from it: this one follows on; promote it again if it is to lead all the same";
        Err(Error::new(ErrorCode::StalePrimary, what))
    }

    /// Fails where another node leads by now, as far as that can be reached, and the source does not tell: another promotion fenced it
    /// without coming to its end, so that who completed that would lead beside it; or it says that it leads an earlier epoch, as an
    /// older control file that was put back into its place says. By force it takes over from that one, beside who leads.
    fn require_nobody_else_leads(&self, source: &dyn Source, force: bool) -> Result<()> {
        let seen = source.seen()?;
        let cut_short = seen.moved().is_some_and(|moved| moved.ended.is_none());
        // An assumed fence is refused with its own words, and one that came to its end with those of who fences it.
        if seen.assumed || (seen.moved().is_some() && !cut_short) {
            return Ok(());
        }
        let later = |epoch: u64| cut_short || (!force && epoch > seen.fence.epoch.0);
        let Some((leader, epoch)) = self.leader_elsewhere().filter(|(_, epoch)| later(*epoch)) else { return Ok(()) };
        let why = match cut_short {
            true => "a promotion fenced the source and was not completed".to_owned(),
            false => format!("the source says that it leads epoch {}", seen.fence.epoch),
        };
        let what = format_args!(
            "stale primary: {why}, and {} leads epoch {epoch} by now: follow that one ({})",
            leader.display(),
            command("replica follow", &self.engine.path, format_args!("--source-db {}", shell_word(&leader)))
        );
        Err(Error::new(ErrorCode::StalePrimary, what).with_path(&self.engine.path))
    }

    /// Pulls until little is missing, so that commits at the source do not wait long between the fence and the epoch's
    /// end; all that it has published can be read then. Fails where this replica is not on the source's history.
    fn come_close(&self, source: &dyn Source) -> Result<()> {
        let missing = |head: LogIndex| head.0.saturating_sub(self.engine.published().0);
        let mut approach = Approach::begin(missing(source.head()?));
        loop {
            let head = source.head()?;
            let stretch = usize::try_from(approach.stretch()).unwrap_or(usize::MAX);
            let pulled = self.pull(stretch, head)?;
            if pulled == 0 && missing(head) > 0 {
                return Err(self.cut_off("has published commits up to", head));
            }
            if approach.goes_on(pulled as u64, missing(source.head()?)) {
                continue;
            }
            // The source keeps what comes next until it is here.
            if let Err(e) = self.report() {
                tracing::debug!("a replica that is about to take over could not report: {e}");
            }
            return Ok(());
        }
    }

    /// Pulls everything up to where the source's epoch ends.
    fn drain(&self, source: &dyn Source, fenced: &Fenced) -> Result<()> {
        while self.engine.published() < fenced.last {
            if self.pull(usize::MAX, fenced.last)? == 0 {
                return Err(self.cut_off("was fenced at", fenced.last));
            }
        }
        // Ahead of its source, a replica cannot be compared with it before the epoch has ended.
        self.require_common(source, fenced.last)?;
        let epoch = self.engine.writer_at(fenced.last).map(|(epoch, _)| epoch);
        match epoch.filter(|epoch| *epoch > fenced.ended && fenced.last.0 > 0) {
            Some(epoch) => Err(self.off_history(fenced.last, fenced.ended, epoch)),
            None => Ok(()),
        }
    }

    fn cut_off(&self, what: &str, index: LogIndex) -> Error {
        Error::new(
            ErrorCode::SourceUnavailable,
            format_args!(
                "the source {what} log index {index}, but its log can be read up to {} only; try again",
                self.engine.published()
            ),
        )
    }

    /// The epoch that a promotion begins, `next` or later: not one that this node led, followed or saw at a source before,
    /// also if it was reseeded from where that had not begun. Upholds I42.
    fn epoch_after(&self, next: Epoch) -> Result<Epoch> {
        let known = self.engine.epoch().max(self.control.fence()?.epoch).max(self.control.seen_epoch().begun());
        Ok(next.max(Epoch(known.0 + 1)))
    }
}
