//! Where what a replica follows leads to. Its source may have nothing that the replica lacks, and yet no commit will ever
//! come: the primary at the end was fenced or copied, or there is none, because replicas follow each other. And its source
//! may have let go of what the replica needs next. All of that is looked up anew whenever it is asked for, in control files.

use crate::{
    db::{Engine, LogPlace, folder_of, resolved},
    error::{Error, ErrorCode, Result},
    graph::LogIndex,
    io::{Env, OpenMode},
    log::{Control, LogReader, Moved, WriterId},
    replication::{
        node_file::peek_of,
        registry::Registry,
        retention::serves,
        source::{
            SourcePaths,
            find_log::{lost_its_end, recovered_end},
            remembered::{Remembered, is_denied, remembered_in},
            source_fault::SourceFault,
            upstream_node::UpstreamNode,
        },
        status::FenceStatus,
    },
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A chain of replicas is looked at for so many nodes.
const MAX_CHAIN: usize = 64;

/// Who asks.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Asking<'a> {
    /// The replica.
    pub(crate) engine: &'a Engine,
    /// The id under which it is registered with its source.
    pub id: [u8; 16],
    /// Its own promotion, if it has begun one.
    pub promotion: WriterId,
    /// Its last frame.
    pub at: LogIndex,
}

impl<'a> Asking<'a> {
    /// The replica `engine`, whose control words are `control`.
    pub(crate) fn of(engine: &'a Engine, control: &Control) -> Self {
        Self { engine, id: engine.reporting_id(), promotion: control.promotion(), at: engine.published() }
    }
}

/// What was seen of a source.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Upstream {
    /// Whether the replica that asks is registered there; an error if it cannot be, as things are. `None`: that cannot be
    /// looked at from here.
    pub registered: Option<Result<bool>>,
    /// The last frame that it has published, if it could be looked at.
    pub head: Option<LogIndex>,
    /// The promotion that fenced it.
    pub moved: Option<Moved>,
    /// What is wrong with it, or with what it follows in turn.
    pub fault: Option<SourceFault>,
    /// Why it cannot be seen from here whether a primary leads at the end of the way.
    pub unseen: Option<String>,
}

/// Where a chain of replicas leads.
enum End {
    Primary,
    Nowhere(SourceFault),
    /// That cannot be seen, for this reason.
    Unseen(String),
}

/// Looks at the source `known` in `env`, and at what that one follows.
pub fn look_upstream(env: &Env, known: &Remembered, asking: &Asking<'_>) -> Upstream {
    let db = &known.paths.db;
    let astray = || known.astray.as_ref().map(|db| SourceFault::Astray { db: db.clone() });
    let source = match UpstreamNode::at(env, &known.paths, known.file_id) {
        Ok(source) => source,
        Err(fault) => {
            let fault = astray().or(fault);
            let unseen = fault.is_none().then(|| format!("the source {} cannot be looked at from here", db.display()));
            return Upstream { fault, unseen, ..Upstream::default() };
        }
    };
    let head = source.control.published();
    let moved = source.fence.moved();
    // A promotion of its own that was not completed is told as that.
    if moved.is_some_and(|moved| moved.by == asking.promotion) {
        return Upstream { head: Some(head), moved, ..Upstream::default() };
    }
    if is_another(env, known, &source, asking) {
        let followed = known.file_id == Some(source.file_id);
        let another = || SourceFault::Another { db: db.clone(), at: asking.at.0, followed };
        // Its head tells nothing of how far behind the replica is.
        return Upstream { fault: astray().or_else(|| Some(another())), ..Upstream::default() };
    }
    let registered = Registry::lists(env, source.place.dir(), &asking.engine.registration_id());
    // What holds nothing yet copies a snapshot, and needs nothing from before that; one that pulls all the same is told by that.
    let pulls = head > asking.at && asking.at > LogIndex(0);
    let lost = pulls.then(|| not_served(env, db, &source, head, asking.at)).flatten();
    let lost = lost.or_else(|| broken(env, db, &source));
    let (fault, unseen) = match (lost, where_it_leads(env, known, source, asking)) {
        (Some(lost), _) => (Some(lost), None),
        (None, End::Primary) => (None, None),
        (None, End::Nowhere(fault)) => (Some(fault), None),
        (None, End::Unseen(why)) => (None, Some(why)),
    };
    Upstream { head: Some(head), moved, fault, unseen, registered }
}

impl Upstream {
    /// What of that still holds for the replica that was at `asked` when it asked, and is at `now`: one that went on meanwhile
    /// misses nothing of what it had to get there, and is of no other history.
    pub fn still(self, asked: LogIndex, now: LogIndex) -> Self {
        match &self.fault {
            Some(fault) if now > asked && fault.is_of_position() => Self { fault: None, ..self },
            _ => self,
        }
    }

    /// Whether the replica that asks, which is `noted` as registered, was removed there since.
    pub fn removed(&self, noted: bool) -> bool {
        noted && matches!(self.registered, Some(Ok(false)))
    }

    /// Whether the source keeps its log for the replica that asks, and why not where it should: its control words say that
    /// it was `noted` as registered when it reported last.
    pub fn registration(&self, noted: bool) -> (bool, Option<String>) {
        match &self.registered {
            _ if !noted => (false, None),
            Some(Err(e)) => (false, Some(not_registered(e))),
            // It was removed there: with its next report it is registered again.
            Some(Ok(registered)) => (*registered, None),
            None => (true, None),
        }
    }
}

/// What to do where a source does not register a replica.
pub const HOW_TO_REGISTER: &str = "let it write to its source's folder, or say that it is to go on unregistered \
                                   (--unregistered, replication_unregistered)";

/// What is so of a replica that runs, and that its source's operator removed there.
pub const REMOVED: &str = "its source does not list it any more, and keeps nothing for it: it was removed there. It registers again \
                           when it looks next, after the next commit there, or 30 s; to end that, stop its process";

/// Why a replica pulls and is not registered.
pub fn not_registered(e: &Error) -> String {
    format!("the source does not keep its log for this replica: {e}; {HOW_TO_REGISTER}")
}

/// That a replica which follows `paths` would follow a circle of replicas, itself perhaps among them, if that can be seen.
pub fn leads_in_a_circle(env: &Env, paths: SourcePaths, asking: &Asking<'_>) -> Option<SourceFault> {
    leads_nowhere(env, paths, asking).filter(|fault| matches!(fault, SourceFault::Cycle { .. }))
}

/// Why no primary that leads is at the end of where a node that follows `paths` would follow, if that is seen. What may pass, or be
/// followed all the same, like a node that stopped or a file that cannot be read whose log goes on, says nothing of who leads.
pub fn leads_nowhere(env: &Env, paths: SourcePaths, asking: &Asking<'_>) -> Option<SourceFault> {
    let source = UpstreamNode::at(env, &paths, None).ok()?;
    let known = Remembered { paths, astray: None, file_id: None };
    match where_it_leads(env, &known, source, asking) {
        End::Nowhere(fault) if fault.says_that_nobody_leads() => Some(fault),
        End::Nowhere(_) | End::Primary | End::Unseen(_) => None,
    }
}

/// Whether `source` is not the database that the replica followed, nor one that took over from it, or has another history
/// since, or went on without what the replica has. What it holds decides; where that does not tell, the id of its file.
fn is_another(env: &Env, known: &Remembered, source: &UpstreamNode, asking: &Asking<'_>) -> bool {
    // Also where it is the one that it was: it may have been reseeded to another history since.
    let is_it = known.file_id == Some(source.file_id);
    if is_it && source.went_on_without(env, &known.paths.db, asking).unwrap_or(false) {
        return true;
    }
    match source.shares_history(env, &known.paths.db, asking) {
        Ok(shares) => !shares.unwrap_or(is_it || known.file_id.is_none()),
        // What cannot be read tells nothing; the pull that meets it says so.
        Err(_) => false,
    }
}

/// Why the log of the source, whose file is `db`, does not have all that comes after `at` and up to `head`, as far as that is
/// seen without reading each segment.
fn not_served(env: &Env, db: &Path, source: &UpstreamNode, head: LogIndex, at: LogIndex) -> Option<SourceFault> {
    let control = Arc::new(Control::open(&*env.disk, source.place.dir(), OpenMode::Read).ok()??);
    let mut reader = LogReader::with_control(env, source.place.dir(), control.clone()).ok()?;
    reader.refresh().ok()?;
    let hole = |index: LogIndex, why: &Error| {
        let reseed = why.code() == ErrorCode::NeedsReseed;
        let what = why.to_string();
        let what = what.strip_prefix("needs reseed: ").unwrap_or(&what).to_owned();
        let copied = holds_all(env, db, &control, head);
        SourceFault::Hole { db: db.to_owned(), index: index.0, what, reseed, copied }
    };
    let (floor, next) = (reader.floor().unwrap_or(LogIndex(head.0 + 1)), LogIndex(at.0 + 1));
    if !serves(floor, head, at) {
        let why = reader.why_missing(next);
        return Some(match why.code() {
            // What may not be read need not be missing: the pull says so.
            ErrorCode::PermissionDenied => return None,
            ErrorCode::NeedsReseed => SourceFault::Lost { next: next.0, floor: floor.0 },
            _ => hole(next, &why),
        });
    }
    reader.missing_after(at, head).ok()??;
    // What no writer ended may have been published, and lost with the power before it was durable.
    let end = if control.writer_lives().ok()? { head } else { recovered_end(env, db, &control).ok()?.min(head) };
    // Looked at again: what is let go of meanwhile is missing for a moment.
    reader.refresh().ok()?;
    let (index, why) = reader.missing_after(at, end).ok()??;
    Some(hole(index, &why))
}

/// Whether a copy of the source, whose file is `db`, has every commit up to `head`, though its log does not: its file was closed
/// with them, or a process that has it open writes them there when it is asked for a copy.
fn holds_all(env: &Env, db: &Path, control: &Control, head: LogIndex) -> bool {
    if control.writer_lives().unwrap_or(false) {
        return true;
    }
    let Ok(peek) = peek_of(env, db, control.identity().file_id) else { return false };
    !peek.log.open && peek.log.clean_tail.is_some_and(|(last, _)| last >= head)
}

/// That the log of the source, a primary whose file is `db` and that nobody has open, lost its end, as far as headers and the last
/// segment tell: also who has all of it cannot be compared with it any more.
fn broken(env: &Env, db: &Path, source: &UpstreamNode) -> Option<SourceFault> {
    if source.fence.follows || source.fence.moved_by.is_some() || source.control.writer_lives().ok()? {
        return None;
    }
    let control = Arc::new(Control::open(&*env.disk, source.place.dir(), OpenMode::Read).ok()??);
    let mut reader = LogReader::with_control(env, source.place.dir(), control.clone()).ok()?;
    reader.refresh().ok()?;
    reader.hole(control.published()).ok()??;
    lost_its_end(env, db, &control).map(|lost| SourceFault::broken(db, &lost))
}

/// Follows the chain from `node` on, which is `known`, for as far as it can be seen. All is not well where the file of one on the
/// way cannot be read, though its log leads on.
fn where_it_leads(env: &Env, known: &Remembered, node: UpstreamNode, asking: &Asking<'_>) -> End {
    let mut unreadable = None;
    let end = end_of_chain(env, known, node, asking, &mut |db, from, what| {
        let what = format!("its file cannot be read ({what}), and only its log tells what it has");
        let fault = SourceFault::Unavailable { db: db.to_owned(), what };
        unreadable.get_or_insert(match from {
            Some(from) => SourceFault::Beyond { node: from.to_owned(), fault: Box::new(fault) },
            None => fault,
        });
    });
    match (end, unreadable) {
        (End::Primary | End::Unseen(_), Some(fault)) => End::Nowhere(fault),
        (end, _) => end,
    }
}

/// As [`where_it_leads`]. `note` is told of each node whose file cannot be read, who follows it on the way, and why.
fn end_of_chain(
    env: &Env,
    known: &Remembered,
    node: UpstreamNode,
    asking: &Asking<'_>,
    note: &mut dyn FnMut(&Path, Option<&Path>, &str),
) -> End {
    let (mut node, mut db) = (node, known.paths.db.clone());
    let (mut ids, mut through) = (vec![asking.id], Vec::<PathBuf>::new());
    while ids.len() <= MAX_CHAIN {
        if let Some(what) = &node.unreadable {
            note(&db, through.last().map(PathBuf::as_path), what);
        }
        through.push(db.clone());
        let id = node.id();
        if ids.contains(&id) {
            return End::Nowhere(SourceFault::Cycle { through });
        }
        ids.push(id);
        if !node.fence.follows {
            return match (node.fence.moved(), &node.place) {
                (Some(moved), place) => {
                    let copied = matches!(place, LogPlace::Moved(..));
                    End::Nowhere(SourceFault::Fenced { db, fence: FenceStatus::seen(moved, &node.control), copied })
                }
                (None, LogPlace::Moved(..)) => End::Nowhere(SourceFault::Copied { db }),
                (None, _) => End::Primary,
            };
        }
        match followed_by(env, &node, &db, asking) {
            Ok(next) => match halted(env, (&node, &db), (&next.0, &next.1)) {
                Some(fault) => return End::Nowhere(fault),
                None => (node, db) = next,
            },
            Err(end) => return end,
        }
    }
    End::Unseen(format!("there are more than {MAX_CHAIN} replicas on the way"))
}

/// What the replica `node`, whose file is `db`, follows in turn.
fn followed_by(env: &Env, node: &UpstreamNode, db: &Path, asking: &Asking<'_>) -> Result<(UpstreamNode, PathBuf), End> {
    let nowhere = |fault| End::Nowhere(SourceFault::Beyond { node: db.to_owned(), fault: Box::new(fault) });
    let unseen = |what: String| End::Unseen(format!("of the replica {} {what}", db.display()));
    let file = resolved(env, db).map_err(|e| unseen(format!("the file cannot be looked at: {e}")))?;
    let Some(next) = remembered_in(&*env.disk, node.place.dir(), &file, env) else {
        return Err(match is_denied(&*env.disk, node.place.dir()) {
            true => unseen("nobody may read here what it follows".to_owned()),
            false => nowhere(SourceFault::Unnamed),
        });
    };
    let source = &next.paths.db;
    let fault = match UpstreamNode::at(env, &next.paths, next.file_id) {
        // The name is that of another database now. One that took over from the former leads on.
        Ok(passed) if is_another(env, &next, &passed, asking) => {
            SourceFault::Another { db: source.clone(), at: asking.at.0, followed: next.file_id == Some(passed.file_id) }
        }
        Ok(passed) => return Ok((passed, next.paths.db)),
        Err(None) => return Err(unseen(format!("the source {} cannot be looked at from here", source.display()))),
        Err(Some(fault)) => match next.astray {
            Some(db) => SourceFault::Astray { db },
            None => fault,
        },
    };
    let failed = node.failed();
    // Its path may lead to another place on its own machine. While it runs, and has met no error, it is believed.
    let runs_well = failed.is_none() && node.control.writer_lives().unwrap_or(false);
    let is_seen = env.disk.is_dir(folder_of(source)) && !runs_well;
    Err(match failed {
        _ if is_seen => nowhere(fault),
        Some(what) => nowhere(SourceFault::Unavailable { db: source.clone(), what }),
        None => unseen(format!(
            "the source {} cannot be seen from here: it is gone, or on another machine",
            source.display()
        )),
    })
}

/// Why the replica `node` does not go on, though where it follows, at `next`, leads on: what it tried last failed, or what it
/// needs next is not there, which it will find with its next pull.
fn halted(
    env: &Env,
    (node, db): (&UpstreamNode, &Path),
    (next, source): (&UpstreamNode, &Path),
) -> Option<SourceFault> {
    if let Some(what) = node.failed() {
        return Some(SourceFault::Halted { node: db.to_owned(), what });
    }
    let (at, head) = (node.control.published(), next.control.published());
    let lost = (head > at).then(|| not_served(env, source, next, head, at)).flatten();
    let fault = lost.or_else(|| broken(env, source, next))?;
    // Its follower may have gone on meanwhile.
    let stays = node.control.published() == at;
    stays.then(|| SourceFault::Halted { node: db.to_owned(), what: fault.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_went_on_meanwhile_is_not_told_what_it_would_miss_where_it_was() {
        let lost = || SourceFault::Lost { next: 235, floor: 238 };
        let beyond = || SourceFault::Beyond { node: "r".into(), fault: Box::new(lost()) };
        let fenced = || SourceFault::Cycle { through: vec!["r".into()] };
        for (fault, now, told) in [
            (lost(), 234, true),
            (lost(), 240, false),
            // Copied anew from a source that had less.
            (lost(), 100, true),
            (SourceFault::Another { db: "p".into(), at: 234, followed: true }, 240, false),
            (beyond(), 240, false),
            (beyond(), 234, true),
            (fenced(), 240, true),
        ] {
            let seen = Upstream { fault: Some(fault.clone()), ..Upstream::default() };
            assert_eq!(seen.still(LogIndex(234), LogIndex(now)).fault.is_some(), told, "{fault:?} at {now}");
        }
    }
}
