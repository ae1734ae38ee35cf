//! A source that is not one of this crate: whoever writes one wraps, counts, delays, refuses and lies.

use super::{
    stage::{add, has},
    support_replication::{
        expect_error,
        folder::{Folder, eventually, replica_options},
        replica_status,
    },
};
use kitedb_core::{
    Database, Digest, Epoch, Error, ErrorCode, FollowerOptions, LogIndex, OpenOptions, ReplicaState, ReplicationRole,
    Result, SyncMode, compare_deep,
    source::{
        Asking, At, Fencing, Lineage, LogPage, PageLimits, Progress, Pulled, Registration, Seen, Snapshot, Source,
        SourcePlace, Upstream, WriterId,
    },
};
use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// As a source over a network would be: it knows no word to wait for, carries bytes, and is away now and then.
#[derive(Debug)]
struct Carried {
    inner: Arc<dyn Source>,
    pages: AtomicUsize,
    away: AtomicBool,
    /// Whether it changes a byte of what it carries.
    lies: AtomicBool,
    /// What it does, once, when it is asked for frames.
    inside: Inside,
}

#[derive(Default)]
struct Inside(Mutex<Option<Box<dyn FnOnce() + Send>>>);

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Inside")
    }
}

impl Carried {
    fn to(db: &std::path::Path) -> Arc<Self> {
        let inner = Database::source_at(&SourcePlace::files(db));
        Arc::new(Self {
            inner,
            pages: AtomicUsize::new(0),
            away: AtomicBool::new(false),
            lies: AtomicBool::new(false),
            inside: Inside::default(),
        })
    }

    fn there(&self) -> Result<&dyn Source> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorCode::SourceUnavailable, "the network is away")),
            false => Ok(&*self.inner),
        }
    }

    /// What a page is when its bytes have been carried elsewhere.
    fn carried(&self, pulled: Pulled) -> Result<Pulled> {
        self.pages.fetch_add(1, Ordering::SeqCst);
        let mut page = LogPage::default();
        for chunk in &pulled.page.chunks {
            let frames = chunk.frames.iter().map(|span| &chunk.bytes[span.at..span.at + span.len]);
            let begin = chunk.frames[0].segment_offset;
            page.chunks.extend(LogPage::of_frames((chunk.segment, begin), chunk.writer_id, frames)?.chunks);
        }
        if let (true, Some(chunk)) = (self.lies.load(Ordering::SeqCst), page.chunks.first_mut()) {
            let payload = chunk.frames[0].at + 60;
            chunk.bytes[payload] ^= 1;
        }
        page.fault = pulled.page.fault;
        Ok(Pulled::new(page, pulled.head, pulled.seen))
    }
}

impl Source for Carried {
    fn head(&self) -> Result<LogIndex> {
        self.there()?.head()
    }

    fn page(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        let inside = self.inside.0.lock().unwrap().take();
        if let Some(inside) = inside {
            inside();
        }
        self.carried(self.there()?.page(at, limits)?)
    }

    fn page_unattributed(&self, at: &At, limits: PageLimits) -> Result<Pulled> {
        self.carried(self.there()?.page_unattributed(at, limits)?)
    }

    fn writer_at(&self, index: LogIndex) -> Result<Option<(Epoch, WriterId)>> {
        self.there()?.writer_at(index)
    }

    fn digest_at(&self, index: LogIndex) -> Result<Option<Digest>> {
        self.there()?.digest_at(index)
    }

    fn lineage(&self) -> Result<Lineage> {
        self.there()?.lineage()
    }

    fn snapshot(&self, fresh: bool) -> Result<Box<dyn Snapshot>> {
        self.there()?.snapshot(fresh)
    }

    fn report(&self, progress: &Progress) -> Result<()> {
        self.there()?.report(progress)
    }

    fn forget(&self, replica_id: &str) -> Result<bool> {
        self.there()?.forget(replica_id)
    }

    fn supersede(&self, replica_id: &str, path: &str) -> Result<()> {
        self.there()?.supersede(replica_id, path)
    }

    fn others_at(&self, replica_id: &str, path: &str) -> Result<Vec<Registration>> {
        self.there()?.others_at(replica_id, path)
    }

    fn require_fenceable(&self, told: bool) -> Result<bool> {
        self.there()?.require_fenceable(told)
    }

    fn fence(&self, owner: WriterId, held: LogIndex) -> Result<Box<dyn Fencing>> {
        self.there()?.fence(owner, held)
    }

    fn reserve(&self, progress: &Progress) -> Result<()> {
        self.there()?.reserve(progress)
    }

    fn seen(&self) -> Result<Seen> {
        self.there()?.seen()
    }

    fn upstream(&self, asking: &Asking<'_>) -> Upstream {
        self.inner.upstream(asking)
    }

    fn wait(&self, seen: LogIndex, timeout: Duration, still: &dyn Fn() -> bool) {
        self.inner.wait(seen, timeout, still);
    }

    fn wake(&self) {
        self.inner.wake();
    }
}

fn alone() -> OpenOptions {
    OpenOptions::new().sync_mode(SyncMode::Full)
}

#[test]
fn a_replica_follows_a_source_that_somebody_else_wrote_and_takes_over_from_it() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Full);
    add(&primary, "a").unwrap();
    let source = Carried::to(&folder.path("primary"));
    let path = folder.path("replica");
    let replica = Database::open_with_source(&path, alone(), source.clone()).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    let quick = FollowerOptions::new().poll_ms(20).backoff_ms(1).backoff_max_ms(5);
    replica.start_follower(quick).unwrap();
    let token = add(&primary, "b").unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    assert!(source.pages.load(Ordering::SeqCst) > 0);
    // Away, it is a state; back, it is followed on.
    source.away.store(true, Ordering::SeqCst);
    let token = add(&primary, "c").unwrap();
    eventually("it says that the source is away", || replica_status(&replica).state == ReplicaState::Stalled);
    source.away.store(false, Ordering::SeqCst);
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    assert_eq!(compare_deep(&primary, &replica).unwrap().equal, Some(true));
    // Opened again it follows what it is given; without that it knows of no source.
    replica.close().unwrap();
    expect_error(
        Database::open(&path, alone().replication_role(ReplicationRole::Replica)),
        ErrorCode::InvalidOption,
        "not configured",
    );
    let replica = Database::open_with_source(&path, alone(), source.clone()).unwrap();
    let token = add(&primary, "d").unwrap();
    replica.replica_catch_up_once(100).unwrap();
    assert!(replica.wait_for_token(token, 0).unwrap());
    replica.replica_promote(false).unwrap();
    add(&replica, "e").unwrap();
    expect_error(add(&primary, "lost"), ErrorCode::StalePrimary, "");
    assert!(has(&replica, "d"));
    drop(primary.close());
    replica.close().unwrap();
}

/// Nothing of what a source says is believed before it is verified.
#[test]
fn a_source_that_changes_what_it_carries_is_found_out() {
    let folder = Folder::new();
    let primary = folder.primary("primary", SyncMode::Full);
    add(&primary, "a").unwrap();
    let source = Carried::to(&folder.path("primary"));
    let replica = Database::open_with_source(folder.path("replica"), alone(), source.clone()).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    source.lies.store(true, Ordering::SeqCst);
    add(&primary, "b").unwrap();
    expect_error(replica.replica_catch_up_once(10), ErrorCode::Corrupt, "");
    assert!(!has(&replica, "b"));
    source.lies.store(false, Ordering::SeqCst);
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
    assert!(has(&replica, "b"));
    // Nor is a page made of bytes that are no frames.
    let frames = [&[7; 64][..]];
    expect_error(LogPage::of_frames((1, 512), [1; 16], frames), ErrorCode::Corrupt, "does not verify");
    assert_eq!(LogPage::of_frames((1, 512), [1; 16], []).unwrap().frame_count(), 0);
}

#[test]
fn a_source_is_given_only_to_who_can_follow_it_and_one_at_a_time() {
    let folder = Folder::new();
    drop(folder.primary("primary", SyncMode::Full));
    let (place, path) = (folder.path("primary"), folder.path("replica"));
    let source = || Carried::to(&place) as Arc<dyn Source>;
    for options in [
        alone().replication_role(ReplicationRole::Primary),
        replica_options(SyncMode::Full, &place),
        alone().read_only(true),
    ] {
        expect_error(Database::open_with_source(&path, options, source()), ErrorCode::InvalidOption, "source");
        assert!(!path.exists(), "an open that was refused left something");
    }
    let one = source();
    let replica = Database::open_with_source(&path, alone(), one.clone()).unwrap();
    let again = Database::open_with_source(&path, alone(), one).unwrap();
    expect_error(Database::open_with_source(&path, alone(), source()), ErrorCode::InvalidOption, "another source");
    again.close().unwrap();
    replica.close().unwrap();
}

/// A replica, and the source that it follows.
fn followed(folder: &Folder) -> (Database, Database, Arc<Carried>) {
    let primary = folder.primary("primary", SyncMode::Full);
    add(&primary, "a").unwrap();
    let source = Carried::to(&folder.path("primary"));
    let replica = Database::open_with_source(folder.path("replica"), alone(), source.clone()).unwrap();
    replica.replica_bootstrap_from_snapshot().unwrap();
    add(&primary, "b").unwrap();
    (primary, replica, source)
}

#[test]
fn a_source_that_calls_what_would_wait_for_it_is_refused() {
    let folder = Folder::new();
    let (_primary, replica, source) = followed(&folder);
    let (inner, codes) = (replica.clone(), Arc::new(Mutex::new(Vec::new())));
    let told = codes.clone();
    *source.inside.0.lock().unwrap() = Some(Box::new(move || {
        let answers = [
            inner.replica_catch_up_once(1).map(drop),
            inner.replica_bootstrap_from_snapshot(),
            inner.replica_promote(true).map(drop),
            inner.start_follower(FollowerOptions::new()),
            inner.stop_follower(),
            inner.close(),
            inner.abandon(),
        ];
        told.lock().unwrap().extend(answers.map(|answer| answer.unwrap_err().code()));
        // It may read.
        assert!(inner.snapshot().is_ok() && inner.replica_replication_status().is_ok());
    }));
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
    assert_eq!(*codes.lock().unwrap(), [ErrorCode::InvalidArgument; 7]);
    replica.close().unwrap();
}

#[test]
fn the_last_handle_may_be_dropped_by_its_own_source() {
    let folder = Folder::new();
    let (_primary, replica, source) = followed(&folder);
    let path = folder.path("replica");
    let last = Arc::new(Mutex::new(Some(replica.clone())));
    let weak = replica.downgrade();
    let gone = Arc::new(AtomicBool::new(false));
    let said = gone.clone();
    *source.inside.0.lock().unwrap() = Some(Box::new(move || {
        last.lock().unwrap().take();
        said.store(true, Ordering::SeqCst);
    }));
    replica.start_follower(FollowerOptions::new().poll_ms(20)).unwrap();
    drop(replica);
    eventually("its source dropped it", || gone.load(Ordering::SeqCst) && weak.upgrade().is_none());
    let again = Database::open_with_source(&path, alone(), source).unwrap();
    again.replica_catch_up_once(10).unwrap();
    assert!(has(&again, "b"));
    again.close().unwrap();
}

#[test]
fn a_source_that_panics_has_failed_and_is_asked_again() {
    let folder = Folder::new();
    let (primary, replica, source) = followed(&folder);
    let panics = || Some(Box::new(|| -> () { panic!("broken") }) as Box<dyn FnOnce() + Send>);
    *source.inside.0.lock().unwrap() = panics();
    expect_error(replica.replica_catch_up_once(10), ErrorCode::SourceUnavailable, "panicked");
    assert_eq!(replica.replica_catch_up_once(10).unwrap(), 1);
    *source.inside.0.lock().unwrap() = panics();
    replica.start_follower(FollowerOptions::new().poll_ms(20).backoff_ms(1).backoff_max_ms(5)).unwrap();
    let token = add(&primary, "c").unwrap();
    assert!(replica.wait_for_token(token, 60_000).unwrap());
    replica.close().unwrap();
}
