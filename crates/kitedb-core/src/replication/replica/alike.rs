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

/// A node's digests beside those of its source.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    engine: &'a Engine,
    source: &'a dyn Source,
    /// Its own log, once it was asked; `None` in it: there is none that can be read.
    log: Option<Option<LogReader>>,
    /// Why one of them could not tell, where it is not known whether it could at another time.
    failed: Option<Error>,
}

impl<'a> Comparison<'a> {
    pub fn new(engine: &'a Engine, source: &'a dyn Source) -> Self {
        Self { engine, source, log: None, failed: None }
    }

    /// As [`Comparison::new`], with the own log that an earlier one read.
    fn going_on(self, log: Option<LogReader>) -> Self {
        Self { log: log.map(Some), ..self }
    }

    /// Compares both after a frame that both have; `None`: one of them cannot tell.
    pub fn alike(&mut self, index: LogIndex) -> Result<Option<bool>> {
        let Some(here) = self.own(index)? else { return Ok(None) };
        let there = self.source.digest_at(index);
        Ok(self.unless_damaged(there)?.map(|there| here == there))
    }

    /// Indexes at which both may tell: where segments begin, and what the files hold.
    pub fn marks(&mut self) -> Result<Vec<LogIndex>> {
        let mut marks = self.source.digest_marks()?;
        marks.push(self.engine.store.manifest().checkpoint.log_index);
        if let Some(log) = self.log()? {
            marks.extend(log.headers().map(|header| LogIndex(header.first.0.saturating_sub(1))));
        }
        Ok(marks)
    }

    /// Why nothing told, if that was a failure.
    pub fn failed(self) -> Option<Error> {
        self.failed
    }

    /// The state digest after the frame with that index; `None` where neither its log nor its file tells. A file that is older than
    /// its log tells of its own last frame, and the log of what follows.
    fn own(&mut self, index: LogIndex) -> Result<Option<Digest>> {
        let (_, _, last, digest) = self.engine.position();
        if index == last {
            return Ok(Some(digest));
        }
        let in_log = self.log()?.map(|log| log.digest_at(index));
        let in_log = in_log.map_or(Ok(None), |read| self.unless_damaged(read))?;
        Ok(in_log.or_else(|| self.engine.store.manifest().checkpoint.digest_at(index)))
    }

    fn log(&mut self) -> Result<Option<&mut LogReader>> {
        if self.log.is_none() {
            let read = self.engine.read_log();
            self.log = Some(self.unless_damaged(read)?);
        }
        Ok(self.log.as_mut().and_then(Option::as_mut))
    }

    /// What is damaged tells nothing, nor does a disk that fails to read it.
    fn unless_damaged<T>(&mut self, read: Result<Option<T>>) -> Result<Option<T>> {
        match read {
            Err(e) if e.code() == ErrorCode::Corrupt => Ok(None),
            Err(e) if e.code() == ErrorCode::Io => {
                self.failed.get_or_insert(e);
                Ok(None)
            }
            read => read,
        }
    }
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
            _ => {}
        }
        // Also one writer can have two histories, if its files were restored in place. The log stays open: a replica that is ahead asks
        // each time it is woken.
        let mut compared = Comparison::new(&self.engine, source).going_on(self.own_log.lock().take());
        let alike = compared.alike(index)?;
        *self.own_log.lock() = compared.log.flatten();
        if alike != Some(false) {
            return Ok(());
        }
        let what = format_args!(
            "needs reseed: the source has another history: at log index {index} it holds another graph than was here then (the \
             state digests differ)"
        );
        Err(Error::new(ErrorCode::NeedsReseed, what).with_token(Token::new(here, index)))
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
