//! Standard output. Whoever reads it may go away at any time: what a command does, and the code with which it ends, do not
//! depend on that.

use std::{
    io::{self, ErrorKind, Write},
    sync::atomic::{AtomicBool, Ordering},
};

/// Whether whoever read the output of this process went away.
static READER_GONE: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads the output of this process any more. A command that has no other end than that its reader goes away
/// ends then.
pub fn reader_is_gone() -> bool {
    READER_GONE.load(Ordering::Relaxed)
}

/// A stream that takes what is written, and lets go of it once nobody reads it any more.
pub struct Output<W>(pub W);

impl<W: Write> Output<W> {
    fn unless_gone<T>(&mut self, unread: T, write: impl FnOnce(&mut W) -> io::Result<T>) -> io::Result<T> {
        match write(&mut self.0) {
            Err(e) if e.kind() == ErrorKind::BrokenPipe => {
                READER_GONE.store(true, Ordering::Relaxed);
                Ok(unread)
            }
            written => written,
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unless_gone(bytes.len(), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_gone((), W::flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fails(ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
        let mut gone = Output(Fails(ErrorKind::BrokenPipe));
        gone.write_all(b"what nobody reads").unwrap();
        gone.flush().unwrap();
        let mut full = Output(Fails(ErrorKind::StorageFull));
        assert_eq!(full.write(b"what is to be read").unwrap_err().kind(), ErrorKind::StorageFull);
        assert_eq!(full.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    }
}
