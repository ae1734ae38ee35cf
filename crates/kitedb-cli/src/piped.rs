//! Standard input and output, and named pipes. What waits there for another process waits in a thread of its own, so that a
//! signal ends the command whether or not that process ever does anything.

use crate::watched::Watched;
use kitedb_core::{Error, ErrorCode, Watch};
use std::{
    collections::VecDeque,
    fs::File,
    io::{self, ErrorKind, Read, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

/// So many pieces are on their way at most.
const PIECES: usize = 4;

/// So much is read at once.
const PIECE: usize = 64 << 10;

/// Why a wait ended, if a signal ended it: an error of [`io`] tells, whichever reader or writer it went through.
pub fn interruption(error: &io::Error) -> Option<Error> {
    let cause = error.get_ref()?.downcast_ref::<Error>()?;
    (cause.code() == ErrorCode::Cancelled).then(|| cause.clone())
}

/// What a command and the thread that waits for it share.
struct Way {
    watch: Watch,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Vec<u8>>,
    /// The thread has a piece that is not written yet.
    writes: bool,
    /// The file is open.
    opened: bool,
    /// Nothing comes any more, or is taken.
    ended: bool,
    /// Why, until it is told.
    failed: Option<io::Error>,
}

impl Way {
    fn new(watched: &Watched) -> Arc<Self> {
        let watch = watched.watch().clone();
        let way = Arc::new(Self { watch, state: Mutex::default(), changed: Condvar::new() });
        let woken = way.clone();
        watched.when_cancelled(move || drop(woken.change()));
        way
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of it is whole, whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to be changed: who waits for it looks again.
    fn change(&self) -> MutexGuard<'_, State> {
        let state = self.lock();
        self.changed.notify_all();
        state
    }

    /// The state once it `is_so`; whoever runs the command may end the wait by a signal.
    fn once(&self, is_so: impl Fn(&State) -> bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.lock();
        loop {
            self.watch.require_uncancelled().map_err(io::Error::other)?;
            if is_so(&state) {
                return Ok(state);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Nothing comes or goes any more, because of that error, if there is one.
    fn end(&self, failed: Option<io::Error>) {
        let mut state = self.change();
        (state.ended, state.failed) = (true, failed);
    }
}

/// An input for which a thread waits.
pub struct PipedInput {
    way: Arc<Way>,
    /// What was taken, and how much of it is read.
    piece: Vec<u8>,
    read: usize,
}

impl PipedInput {
    /// Waits until `open` has opened it: that of a named pipe waits for whoever writes to it.
    pub fn open(open: impl FnOnce() -> io::Result<File> + Send + 'static, watched: &Watched) -> io::Result<Self> {
        let way = Way::new(watched);
        let input = Self { way: way.clone(), piece: Vec::new(), read: 0 };
        thread::Builder::new().name("input".to_owned()).spawn(move || {
            let read = open().and_then(|file| {
                way.change().opened = true;
                read_all(file, &way)
            });
            way.end(read.err());
        })?;
        let mut state = input.way.once(|state| state.opened || state.ended)?;
        // What fails after that, a read tells.
        let failed = if state.opened { None } else { state.failed.take() };
        drop(state);
        failed.map_or(Ok(input), Err)
    }
}

/// Brings all that is in `file` on its way, as it comes.
fn read_all(mut file: File, way: &Way) -> io::Result<()> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            read => read?,
        };
        let mut state = way.once(|state| state.pieces.len() < PIECES || state.ended)?;
        if state.ended {
            return Ok(());
        }
        state.pieces.push_back(buffer.get(..read).unwrap_or_default().to_vec());
        way.changed.notify_all();
    }
}

impl Read for PipedInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            let mut state = self.way.once(|state| !state.pieces.is_empty() || state.ended)?;
            // What came before a failure is read before it is told.
            let Some(piece) = state.pieces.pop_front() else { return state.failed.take().map_or(Ok(0), Err) };
            self.way.changed.notify_all();
            (self.piece, self.read) = (piece, 0);
        }
        let length = self.piece.get(self.read..).unwrap_or_default().read(buffer)?;
        self.read += length;
        Ok(length)
    }
}

impl Drop for PipedInput {
    fn drop(&mut self) {
        self.way.end(None);
    }
}

/// An output for which a thread waits.
pub struct PipedOutput(Arc<Way>);

impl PipedOutput {
    /// What is written to it is written to `file`.
    pub fn begin(file: File, watched: &Watched) -> io::Result<Self> {
        let way = Way::new(watched);
        let output = Self(way.clone());
        thread::Builder::new().name("output".to_owned()).spawn(move || way.end(write_all(file, &way).err()))?;
        Ok(output)
    }
}

/// Writes what comes to `file`, until nothing comes any more.
fn write_all(mut file: File, way: &Way) -> io::Result<()> {
    loop {
        let mut state = way.once(|state| !state.pieces.is_empty() || state.ended)?;
        let Some(piece) = state.pieces.pop_front() else { return Ok(()) };
        state.writes = true;
        drop(state);
        let written = file.write_all(&piece);
        way.change().writes = false;
        written?;
    }
}

impl PipedOutput {
    /// The state once it `is_so`, or why it is not.
    fn once(&self, is_so: impl Fn(&State) -> bool) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.0.once(|state| is_so(state) || state.ended)?;
        match state.ended {
            true => Err(state.failed.take().unwrap_or_else(|| ErrorKind::BrokenPipe.into())),
            false => Ok(state),
        }
    }
}

impl Write for PipedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.once(|state| state.pieces.len() < PIECES)?.pieces.push_back(bytes.to_vec());
        self.0.changed.notify_all();
        Ok(bytes.len())
    }

    /// Waits until all of it is written.
    fn flush(&mut self) -> io::Result<()> {
        self.once(|state| state.pieces.is_empty() && !state.writes).map(drop)
    }
}

impl Drop for PipedOutput {
    fn drop(&mut self) {
        self.0.change().ended = true;
    }
}
