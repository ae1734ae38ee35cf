//! A log whose control file is damaged or gone, or that ends in damage, is mended by what its frames prove.
//!
//! Recovery itself says what that is: it reads the log against the control file that is to be, in memory, before anything
//! is written. What frames cannot prove is not made up. Whether another node took over, only the control file knew: a
//! primary comes back as one that was fenced, reads, and leads when its operator says so. Commits behind damage are given
//! up only by name, and even then they are put aside.

mod damaged_log;
mod left;
mod plan;
mod proof;
mod reports;

pub(crate) use reports::{Others, Reported, Reports};

use super::{
    beyond::take_from_a_replica,
    engine::Engine,
    file::require_one_name,
    history::writer_of,
    options::{OpenOptions, ReplicationRole},
    place::{LogPlace, Search},
    writer_lock::open_for_writing,
};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::Token,
    io::Env,
    log::is_in_its_way,
    shell::command,
    store::{Damage, LogKind, Part, Peek, Store, WRITER_LOCK},
    watch::{Phase, Watch},
};
use damaged_log::DamagedLog;
use reports::some_commit;
use std::path::{Path, PathBuf};

/// How a database is repaired: see [`Database::repair`](crate::Database::repair).
#[derive(Debug, Clone, Default)]
pub struct RepairOptions {
    pub(crate) open: OpenOptions,
    pub(crate) dry_run: bool,
    cut_at: Option<Token>,
    watch: Watch,
}

impl RepairOptions {
    /// What a repair does that gives nothing up.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes nothing, and says what would be done.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Gives up what the log held after this commit, where damage stands in the way of it. It must be the last one that
    /// the frames prove: [`Repair::asks_for`].
    #[must_use]
    pub fn cut_at(mut self, last: Token) -> Self {
        self.cut_at = Some(last);
        self
    }

    /// Tells `watch` how far the reading of the file is, and lets that one end it: nothing is changed then. Once anything is
    /// changed it goes on to its end.
    #[must_use]
    pub fn watched_by(mut self, watch: &Watch) -> Self {
        self.watch = watch.clone();
        self
    }

    /// Where its log is, if that is not where its file says.
    #[must_use]
    pub fn replication_sidecar_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.open = self.open.replication_sidecar_path(path);
        self
    }

    /// Repairs a file that has more than one hard link.
    #[must_use]
    pub fn accept_hard_links(mut self, accept: bool) -> Self {
        self.open = self.open.accept_hard_links(accept);
        self
    }
}

/// What [`Database::repair`](crate::Database::repair) found and did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Repair {
    /// What is wrong, and can be mended.
    pub found: Vec<String>,
    /// What was done about it; of a dry run, what would be: where it [asks](Repair::asks_for) for a word, with that word only.
    pub steps: Vec<String>,
    /// What is wrong and no repair mends, each with what does.
    pub remains: Vec<String>,
    /// The files in which what was there is kept. Nobody needs them any more: remove them when you do not.
    pub put_aside: Vec<PathBuf>,
    /// The last commit that the database shows afterwards.
    pub last_token: Option<Token>,
    /// What [`RepairOptions::cut_at`] must name, because commits after it lie behind damage.
    pub asks_for: Option<Token>,
    /// Whether the file holds every commit that is known, so that what [`RepairOptions::cut_at`] gives up is the log alone, which
    /// replicas may need.
    pub only_log_is_lost: bool,
    /// Whether it is a primary that does not lead before it is told to: nothing that is left tells whether another node took over
    /// from it, or one that did was seen.
    pub fenced: bool,
    /// Whether anything was changed.
    pub done: bool,
    /// Where its log is.
    pub(crate) log_dir: Option<PathBuf>,
}

impl Repair {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.found.is_empty() && self.remains.is_empty()
    }
}

/// Repairs the log of the file at the resolved `path`. What others say: what they reported, and the node that leads in place of this
/// one, if one was seen.
pub(crate) fn repair(env: &Env, path: &Path, options: &RepairOptions, others: Others<'_>) -> Result<Repair> {
    let open = OpenOptions { role: None, read_only: false, create_if_missing: false, ..options.open.clone() };
    let store = open_for_writing(env, path, &open)?;
    let repaired = require_one_name(path, &open, &**store.file())
        .and_then(|()| repair_locked(env, path, options, &open, &store, others));
    let _ = store.file().unlock(WRITER_LOCK..WRITER_LOCK + 1);
    let mut repair = repaired?;
    drop(store);
    if repair.done {
        // What was done is told all the same.
        let left = what_remains(env, path, open).unwrap_or_else(|e| vec![e.to_string()]);
        let known = |what: &String| repair.remains.iter().any(|told| told.contains(what));
        let new: Vec<_> = left.into_iter().filter(|what| !known(what)).collect();
        repair.remains.extend(new);
    }
    Ok(repair)
}

fn repair_locked(
    env: &Env,
    path: &Path,
    options: &RepairOptions,
    open: &OpenOptions,
    store: &Store,
    others: Others<'_>,
) -> Result<Repair> {
    let mut repair = Repair::default();
    let bytes = store.runs().iter().map(|run| run.bytes()).sum();
    let mut stage = options.watch.begin(Phase::Verify, Some(bytes))?;
    let found = store.verify(&mut |bytes| stage.advance(bytes))?;
    stage.end()?;
    let (slots, found): (Vec<_>, Vec<_>) = found.into_iter().partition(Damage::is_header_slot);
    for damage in found {
        repair.remains.push(format!(
            "{} bytes at {} of the database file: {}; reseed it from another node, or restore it from a copy",
            damage.len, damage.offset, damage.what
        ));
    }
    let mut repair = repair_log(repair, env, path, options, open, store, others)?;
    for Damage { offset, len, what } in slots {
        repair.found.push(format!("{len} bytes at {offset} of the database file: {what}"));
        repair.steps.push("write that header slot anew".to_owned());
        if !options.dry_run {
            store.change_log(|link| link)?;
            repair.done = true;
        }
    }
    Ok(repair)
}

fn repair_log(
    mut repair: Repair,
    env: &Env,
    path: &Path,
    options: &RepairOptions,
    open: &OpenOptions,
    store: &Store,
    (reports, leader): Others<'_>,
) -> Result<Repair> {
    let Some(log) = DamagedLog::of(env, path, open, store)? else {
        let manifest = store.manifest();
        let mark = manifest.checkpoint;
        let writer = writer_of(&manifest.history, mark.epoch, mark.log_index);
        repair.last_token = some_commit(Token::new(mark.epoch, mark.log_index).with_tag(writer));
        return match options.cut_at.filter(|told| !ends_with(repair.last_token, *told)) {
            Some(told) => Err(nothing_to_cut(path, repair.last_token, told)),
            None => Ok(repair),
        };
    };
    repair.log_dir = Some(log.dir().to_owned());
    let left = log.what_is_left()?;
    let _no_writer = log.lock_out_writers(&left)?;
    repair.found.extend(log.fault().into_iter().chain(left.fault()));
    let proof = log.proof(open, &left, reports)?;
    for path in &proof.in_its_way {
        repair.found.push(is_in_its_way(path));
        repair.steps.push(format!("put {} aside", path.display()));
    }
    repair.remains.extend(proof.remains.iter().cloned());
    repair.last_token = some_commit(proof.end());
    repair.only_log_is_lost = proof.all_in_file;
    if let Some(damage) = proof.damage() {
        for what in [Some(damage), proof.holder()].into_iter().flatten().map(ToString::to_string) {
            if !repair.found.contains(&what) {
                repair.found.push(what);
            }
        }
        let end = proof.end();
        match options.cut_at {
            Some(told) if told.agrees_with(end) => {}
            None if options.dry_run => repair.asks_for = Some(end),
            told if proof.all_in_file => return Err(asks_for_log(path, &repair.found, end, told)),
            told => return Err(asks_for_cut(path, &repair.found, end, told)),
        }
        repair.steps.push(match proof.all_in_file {
            true => format!("give the log up, and put aside what is left of it: the file holds all up to {end}"),
            false => format!("end the log with {end}, and put aside what follows"),
        });
    } else if let Some(told) = options.cut_at.filter(|told| !ends_with(repair.last_token, *told)) {
        return Err(nothing_to_cut(path, repair.last_token, told));
    }
    // Of what is whole nothing is changed, whoever leads.
    let plan = log.plan(&left, &proof, leader.filter(|_| !repair.found.is_empty()));
    repair.steps.splice(0..0, plan.steps(path));
    repair.fenced = plan.is_fenced();
    if options.dry_run || repair.found.is_empty() {
        return Ok(repair);
    }
    repair.put_aside = log.carry_out(left, &plan, &proof)?;
    repair.done = true;
    Ok(repair)
}

/// Makes the control file anew that a replica's log has lost, as a repair does, where nothing is given up by that. What opens the
/// replica without it would begin another log among the segments of this one, and those that follow it would lose the thread.
pub(crate) fn mend_replica(env: &Env, path: &Path, options: &OpenOptions, reports: Reports<'_>) -> Result<()> {
    let Ok(Peek { file_id, log: link, file, .. }) = Store::peek(env, path) else { return Ok(()) };
    let is_replica = match link.part {
        Part::Follows(_) => options.role.is_none_or(|role| role == ReplicationRole::Replica),
        Part::Fenced { .. } => options.role == Some(ReplicationRole::Replica),
        _ => false,
    };
    if link.kind != LogKind::Sidecar || !is_replica {
        return Ok(());
    }
    let given = options.sidecar_path.as_deref();
    let search = Search { env, path, file: &*file, file_id, link: &link, given, given_is_hint: false, repairs: false };
    let Ok(LogPlace::Damaged(dir, lost)) = search.sidecar() else { return Ok(()) };
    drop(file);
    let repair_options = RepairOptions { open: options.clone(), ..RepairOptions::default() };
    match repair(env, path, &repair_options, (reports, None)) {
        Ok(repair) if repair.done => {
            tracing::warn!(sidecar = %dir.display(), "the control file of a replica's log was made anew: {lost}");
            Ok(())
        }
        Err(e) if matches!(e.code(), ErrorCode::Locked | ErrorCode::PermissionDenied | ErrorCode::DiskFull) => Err(e),
        Err(e) if e.is_other_version() => Err(e),
        // It is opened as far as it goes, and needs a reseed.
        _ => Ok(()),
    }
}

/// Whether that may be its last commit, of that very history.
fn ends_with(last: Option<Token>, told: Token) -> bool {
    last.is_some_and(|last| last.agrees_with(told))
}

/// How a message calls a commit beside another one: in full where the short texts are the same.
fn beside(token: Token, other: Token) -> String {
    if token == other { token.full() } else { token.to_string() }
}

fn asks_for_cut(path: &Path, found: &[String], end: Token, told: Option<Token>) -> Error {
    let damage = found.join("; ");
    let last = told.map_or_else(|| end.to_string(), |told| beside(end, told));
    let told = told.map_or_else(String::new, |told| format!(", and not {}", beside(told, end)));
    Error::new(
        ErrorCode::Corrupt,
        format_args!(
            "{damage}. The last commit that the log proves is {last}{told}: what came after it cannot be read. Where a copy of \
             the log has it, put that back; where a replica has the commits, {}; else give up what came after by name ({}, \
             RepairOptions::cut_at)",
            take_from_a_replica(path),
            command("repair", path, format_args!("--cut-at {end}"))
        ),
    )
    .with_token(end)
    .with_path(path)
}

/// As [`asks_for_cut`], where no commit is missing, but the log that replicas may need.
fn asks_for_log(path: &Path, found: &[String], end: Token, told: Option<Token>) -> Error {
    let damage = found.join("; ");
    let told = told.map_or_else(String::new, |told| format!(", and not {told}"));
    Error::new(
        ErrorCode::Corrupt,
        format_args!(
            "{damage}. The last commit, which the file holds, is {end}{told}. Put back what is missing of the log; else give that \
             log up by name ({}, RepairOptions::cut_at): what is left of it is put aside, and a replica that needs it must be \
             reseeded",
            command("repair", path, format_args!("--cut-at {end}"))
        ),
    )
}

fn nothing_to_cut(path: &Path, last: Option<Token>, told: Token) -> Error {
    let ends = match last {
        Some(last) => format!("its last commit is {}", beside(last, told)),
        None => "it holds no commit".to_owned(),
    };
    let error = Error::invalid(format_args!(
        "no commit of {} lies behind damage: {ends}, and nothing is cut off at {}. Leave --cut-at (RepairOptions::cut_at) out: \
         a repair gives up nothing else",
        path.display(),
        last.map_or_else(|| told.to_string(), |last| beside(told, last))
    ));
    let error = error.with_path(path).with_found(told.full());
    match last {
        Some(last) => error.with_token(last).with_expected(last.full()),
        None => error,
    }
}

/// Opens what was repaired as a reader does, and looks at its log as a check does: what is told is still wrong with it.
fn what_remains(env: &Env, path: &Path, open: OpenOptions) -> Result<Vec<String>> {
    let engine = Engine::open_read_only(env.clone(), path.to_owned(), OpenOptions { read_only: true, ..open }, None)?;
    match engine.damage() {
        Some(damage) => Err(damage.context("after the repair")),
        None => engine.log_damage(),
    }
}
