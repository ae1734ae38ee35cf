//! Where imported elements go: batches, each one transaction and so one frame of the log.

use super::{
    Element,
    tally::{Counts, Tally},
    write::{Choices, write},
};
use kitedb_core::{BulkLoader, Database, Error, ErrorKind, Result, Token};

/// Why an element was not written.
pub enum Unwritten {
    /// The engine does not take it. What came before it stays.
    Refused(Error),
    /// Its batch failed, and with it the import.
    Failed(Error),
}

impl Unwritten {
    /// What the engine says.
    pub fn into_error(self) -> Error {
        let (Self::Refused(error) | Self::Failed(error)) = self;
        error
    }
}

/// An element of at least so many bytes begins a batch: what the loader lets a batch grow to, and this, fit a commit.
const LARGE: usize = 32 << 20;

/// Writes elements to a database, batch by batch. Dropped, it gives up the batch that is not full yet.
pub struct Sink<'a> {
    database: &'a Database,
    /// How many elements make a batch.
    size: usize,
    loader: BulkLoader,
    choices: Choices<'a>,
    pending: bool,
    /// What is written and not committed, where one that is refused does not end the import: of such a one nothing stays.
    batch: Option<Vec<(Element<'static>, u64)>>,
    /// Where in the file the last element was that was written, and the last one that is committed.
    line: u64,
    kept_to: u64,
    tally: Tally,
    committed: Counts,
    /// The last commit of the database.
    last: Option<Token>,
}

impl<'a> Sink<'a> {
    /// A sink of transactions of `size` elements.
    pub fn new(database: &'a Database, size: usize, choices: Choices<'a>) -> Result<Self> {
        let loader = database.begin_bulk(size)?;
        let (tally, committed) = (Tally::default(), Counts::default());
        let last = database.last_commit_token();
        let (pending, batch, line, kept_to) = (false, None, 0, 0);
        Ok(Self { database, size, loader, choices, pending, batch, line, kept_to, tally, committed, last })
    }

    /// The same, where the import goes on after an element that is refused.
    #[must_use]
    pub fn going_on(self) -> Self {
        Self { batch: Some(Vec::new()), ..self }
    }

    /// Writes one element, which begins on that line. Returns whether it completed a batch, which then is committed. Of one
    /// that is refused a batch must not be committed, unless this is [`Sink::going_on`].
    pub fn put(&mut self, element: Element<'_>, line: u64) -> Result<bool, Unwritten> {
        if self.pending && element.size() >= LARGE {
            self.commit().map_err(Unwritten::Failed)?;
        }
        if let Err(e) = self.write(&element, line) {
            if e.kind() != ErrorKind::Input {
                return Err(Unwritten::Failed(e));
            }
            self.take_back().map_err(Unwritten::Failed)?;
            return Err(Unwritten::Refused(e));
        }
        self.line = line;
        if let Some(batch) = &mut self.batch {
            batch.push((element.into_owned(), line));
        }
        let token = self.loader.step().map_err(Unwritten::Failed)?;
        self.pending = token.is_none();
        self.note(token);
        Ok(token.is_some())
    }

    /// Gives up the batch, of which the last element is written in part, and writes the others again. They are committed
    /// then, so that each is written twice at most, however many are refused.
    fn take_back(&mut self) -> Result<()> {
        let Some(batch) = &mut self.batch else { return Ok(()) };
        let batch = std::mem::take(batch);
        self.loader = self.database.begin_bulk(self.size)?;
        self.tally.take_back_to(self.committed);
        batch.iter().try_for_each(|(element, line)| self.write(element, *line))?;
        if batch.is_empty() { Ok(()) } else { self.commit() }
    }

    /// Commits what is written.
    fn commit(&mut self) -> Result<()> {
        let token = self.loader.flush()?;
        self.pending = false;
        self.note(Some(token));
        Ok(())
    }

    /// The line of the last element that is committed; 0 if there is none.
    pub fn kept_to(&self) -> u64 {
        self.kept_to
    }

    fn write(&mut self, element: &Element<'_>, line: u64) -> Result<()> {
        write(&mut self.loader, element, self.choices, self.tally.on(line))
    }

    /// What was written so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What of that was committed.
    pub fn committed(&self) -> Counts {
        self.committed
    }

    /// Commits the last batch.
    pub fn finish(&mut self) -> Result<()> {
        if self.pending { self.commit() } else { Ok(()) }
    }

    fn note(&mut self, token: Option<Token>) {
        if token.is_none() {
            return;
        }
        // A batch that changes nothing is no commit.
        if token != self.last {
            self.tally.counts.commits += 1;
            self.tally.counts.token = token;
            self.last = token;
        }
        self.committed = self.tally.counts;
        self.kept_to = self.line;
        if let Some(batch) = &mut self.batch {
            batch.clear();
        }
    }
}
