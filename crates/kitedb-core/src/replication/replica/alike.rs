//! Whether a replica and its source have the same history up to a frame: by who wrote it, and by the state digests after it that their
//! logs and files tell.

use super::Replica;
use crate::{
    db::Engine,
    error::{Error, ErrorCode, Result},
    graph::{Digest, Epoch, LogIndex, Token},
    log::LogReader,
    replication::source::Source,
};

/// The digests of a node's own frames.
#[derive(Debug)]
pub(super) struct OwnDigests<'a> {
    engine: &'a Engine,
    /// Its log, once it was asked; `None` in it: there is none that can be read.
    log: Option<Option<LogReader>>,
}

impl<'a> OwnDigests<'a> {
    pub fn of(engine: &'a Engine) -> Self {
        Self { engine, log: None }
    }

    /// The state digest after the frame with that index; `None` where neither its log nor its file tells. A file that is older than
    /// its log tells of its own last frame, and the log of what follows.
    pub fn at(&mut self, index: LogIndex) -> Result<Option<Digest>> {
        let (_, _, last, digest) = self.engine.position();
        if index == last {
            return Ok(Some(digest));
        }
        if self.log.is_none() {
            self.log = Some(unless_damaged(self.engine.read_log())?);
        }
        let in_log = match &mut self.log {
            Some(Some(log)) => unless_damaged(log.digest_at(index))?,
            _ => None,
        };
        Ok(in_log.or_else(|| self.engine.store.manifest().checkpoint.digest_at(index)))
    }
}

/// Compares a node with `source` after a frame that both have; `None`: one of them cannot tell.
pub(super) fn is_alike(own: &mut OwnDigests<'_>, source: &dyn Source, index: LogIndex) -> Result<Option<bool>> {
    let Some(here) = own.at(index)? else { return Ok(None) };
    Ok(source.digest_at(index)?.map(|there| here == there))
}

impl Replica {
    /// Fails if the frame with that index, which both have, is one of another history at the source than here. Upholds
    /// I30.
    pub(super) fn require_common(&self, source: &dyn Source, index: LogIndex) -> Result<()> {
        let (Some((here, writer)), true) = (self.engine.writer_at(index), index.0 > 0) else { return Ok(()) };
        match source.writer_at(index)? {
            Some((there, other)) if there != here || (other != writer && writer != [0; 16]) => {
                return Err(self.off_history(index, there, here));
            }
            // Also one writer can have two histories, if its files were restored in place.
            _ if is_alike(&mut OwnDigests::of(&self.engine), source, index)? != Some(false) => return Ok(()),
            _ => {}
        }
        let what = format_args!(
            "needs reseed: the source has another history: at log index {index} it holds another graph than was here then (the \
             state digests differ)"
        );
        Err(Error::new(ErrorCode::NeedsReseed, what))
    }

    pub(super) fn off_history(&self, index: LogIndex, there: Epoch, here: Epoch) -> Error {
        let what = format_args!(
            "needs reseed: the source has another history: log index {index} is of its epoch {there} there, and of epoch \
             {here} of another writer here; reseed this replica"
        );
        let error = Error::new(ErrorCode::NeedsReseed, what).with_token(Token::new(here, index));
        error.with_expected(Token::new(there, index)).with_found(Token::new(here, index))
    }
}

/// What is damaged tells nothing.
fn unless_damaged<T>(read: Result<Option<T>>) -> Result<Option<T>> {
    match read {
        Err(e) if e.code() == ErrorCode::Corrupt => Ok(None),
        read => read,
    }
}
