//! Copies of a primary that clients fetch: each is kept for a while, so that who is cut off goes on with the same one though commits
//! go on.

use crate::{error::Failure, octets::Octets};
use axum::body::{Body, Bytes};
use http_body_util::channel::Channel;
use kitedb_core::{Database, ExportedSnapshot};
use sha2::{Digest, Sha256};
use std::{
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// So many are kept: each keeps its space in the file from being used again.
const KEPT: usize = 2;
/// So long one is kept that nobody reads.
const IDLE: Duration = Duration::from_secs(300);

/// A copy, and what is known of its bytes.
#[derive(Debug)]
pub(crate) struct Copied {
    pub snapshot: ExportedSnapshot,
    pub octets: Octets,
}

/// The copies that are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshots(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    /// The one that was used last at the end, each with when it may go.
    copies: Vec<(Arc<Copied>, Instant)>,
    /// Whether somebody lets those go whose time has come.
    looked_after: bool,
}

impl Snapshots {
    /// A copy of what `database` holds now.
    pub fn latest(&self, database: &Database) -> Result<Arc<Copied>, Failure> {
        let snapshot = database.primary_export_snapshot()?;
        let known = self.find(|known| what_it_is(&known.snapshot) == what_it_is(&snapshot));
        let copied = match known {
            Some(known) => known,
            None => Arc::new(Copied { octets: octets_of(&snapshot)?, snapshot }),
        };
        self.keep(&copied);
        Ok(copied)
    }

    /// The copy whose validator that is, if it is kept still.
    pub fn by_etag(&self, etag: &str) -> Option<Arc<Copied>> {
        let found = self.find(|known| known.octets.etag() == etag);
        found.inspect(|copied| self.keep(copied))
    }

    fn find(&self, is_it: impl Fn(&Copied) -> bool) -> Option<Arc<Copied>> {
        self.kept().copies.iter().find(|(known, _)| is_it(known)).map(|(known, _)| known.clone())
    }

    fn keep(&self, copied: &Arc<Copied>) {
        let mut kept = self.kept();
        kept.copies.retain(|(known, _)| !Arc::ptr_eq(known, copied));
        if kept.copies.len() == KEPT {
            kept.copies.remove(0);
        }
        kept.copies.push((copied.clone(), Instant::now() + IDLE));
        if !std::mem::replace(&mut kept.looked_after, true) {
            let all = Arc::downgrade(&self.0);
            tokio::spawn(async move {
                while let Some(next) = all.upgrade().and_then(|all| Self(all).let_go()) {
                    sleep_until(next).await;
                }
            });
        }
    }

    /// Lets those go whose time has come; when that of the next one will.
    fn let_go(&self) -> Option<Instant> {
        let mut kept = self.kept();
        let now = Instant::now();
        // Whoever reads one has it for himself, too.
        kept.copies.retain(|(copied, until)| *until > now || Arc::strong_count(copied) > 1);
        let next = kept.copies.iter().map(|(_, until)| (*until).max(now + IDLE / 10)).min();
        kept.looked_after = next.is_some();
        next
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing that is done under it leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two copies of which that is the same hold the same.
fn what_it_is(snapshot: &ExportedSnapshot) -> impl PartialEq + use<> {
    (snapshot.checkpoint(), snapshot.digest(), snapshot.byte_length(), snapshot.epoch(), snapshot.head())
}

fn octets_of(snapshot: &ExportedSnapshot) -> Result<Octets, Failure> {
    let (mut sha256, len) = (Sha256::new(), snapshot.byte_length());
    let mut at = 0;
    while at < len {
        let piece = piece_of(snapshot, at..len)?;
        sha256.update(&piece);
        at += piece.len() as u64;
    }
    Ok(Octets { len, sha256: sha256.finalize().into() })
}

/// The next bytes of that range.
fn piece_of(snapshot: &ExportedSnapshot, range: Range<u64>) -> kitedb_core::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE.min((range.end - range.start) as usize)];
    snapshot.read_at(&mut piece, range.start)?;
    Ok(piece)
}

impl Copied {
    /// All of its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; self.octets.len as usize];
        self.snapshot.read_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// A body with those of its bytes, which are read as they are taken.
    pub fn body(self: Arc<Self>, range: Range<u64>) -> Body {
        let (mut sender, body) = Channel::<Bytes, kitedb_core::Error>::new(1);
        tokio::spawn(async move {
            let mut at = range.start;
            while at < range.end {
                let (copied, rest) = (self.clone(), at..range.end);
                let piece = tokio::task::spawn_blocking(move || piece_of(&copied.snapshot, rest)).await;
                match piece {
                    Ok(Ok(piece)) => {
                        at += piece.len() as u64;
                        if sender.send_data(piece.into()).await.is_err() {
                            return;
                        }
                    }
                    // The connection breaks off, so that nobody takes what came for all of it.
                    Ok(Err(e)) => {
                        tracing::warn!("a copy of the database could not be read to its end: {e}");
                        return sender.abort(e);
                    }
                    Err(_) => return,
                }
            }
        });
        Body::new(body)
    }
}
