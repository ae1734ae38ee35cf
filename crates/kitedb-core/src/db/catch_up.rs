//! A handle that was opened for reading only shows the state of that moment. Here it is told whether more was published since,
//! and shows that, too, where the log that it has read goes on: otherwise another one has to be opened.

use super::{engine::Engine, read_on::ReadOn};
use crate::{
    error::{Error, Result},
    graph::LogIndex,
    log::{Control, FrameRef, LogPage, LogReader, PageLimits},
};
use std::sync::Arc;

/// Bytes of the log that are read at once.
const PIECE: usize = 1 << 20;

/// What was published since what a handle shows.
enum Since {
    Nothing,
    /// What follows in its log, as this control file says.
    InItsLog(Arc<Control>),
    /// What its log does not tell: a checkpoint or the end of a writer, another file or another log, a fence.
    Elsewhere,
}

impl Engine {
    /// Whether nothing was published that this view does not show: that of a handle that only reads is of the moment of its open,
    /// or of when it caught up last.
    pub(crate) fn shows_newest(&self) -> Result<bool> {
        let since = match self.read_on.try_lock() {
            Some(mut read_on) => self.published_since(&mut read_on)?,
            // It is being caught up, which is not waited for.
            None => self.published_since(&mut ReadOn::default())?,
        };
        Ok(matches!(since, Since::Nothing))
    }

    fn published_since(&self, read_on: &mut ReadOn) -> Result<Since> {
        if !self.options.read_only {
            return Ok(Since::Nothing);
        }
        let io = |e| Error::io("look at", &self.path, e);
        let there = self.env.disk.identity(&self.path).map_err(io)?;
        let same_file = there == self.store.file().identity().map_err(io)?;
        let now = self.store.peek_here()?;
        if !same_file || now.generation != self.store.generation() || self.opened.is_damaged() {
            return Ok(Since::Elsewhere);
        }
        // Who goes on in a log that was read to its end says so in the header first.
        if !now.log.open || self.opened.has_read_to_end() {
            return Ok(Since::Nothing);
        }
        Ok(match read_on.control(&*self.env.disk, &self.log_dir)? {
            None => Since::Elsewhere,
            Some(control) if self.has_another_part(&control)? => Since::Elsewhere,
            Some(control) if control.published() <= self.published() => Since::Nothing,
            Some(control) => Since::InItsLog(control),
        })
    }

    /// Shows all that was published by now, if the log of this view tells it; whether it does. Each frame is verified, and its digest
    /// is compared with that of the state that it makes, as by an open.
    pub(crate) fn catch_up(&self) -> Result<bool> {
        let mut read_on = self.read_on.lock();
        let control = match self.published_since(&mut read_on)? {
            Since::Nothing => return Ok(true),
            Since::Elsewhere => return Ok(false),
            Since::InItsLog(control) => control,
        };
        let log = control.current_log();
        if (log.log_id, log.file_id) != (self.store.log_link().id, self.store.file_id()) {
            return Ok(false);
        }
        let through = control.published();
        // One of another control file reads another log.
        let known = read_on.reader.take().filter(|reader| Arc::ptr_eq(reader.control(), &control));
        let reader = read_on.reader.insert(match known {
            Some(known) => known,
            None => LogReader::with_control(&self.env, &self.log_dir, control)?,
        });
        while self.published() < through {
            let limits = PageLimits { max_frames: usize::MAX, max_bytes: PIECE, through };
            let page = reader.read(self.published(), limits)?;
            if page.chunks.is_empty() || self.fold_page(&page).is_err() {
                // An open tells what is wrong.
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Applies the frames of a page, and shows each one.
    fn fold_page(&self, page: &LogPage) -> Result<()> {
        let _commit = self.commit.lock();
        for chunk in &page.chunks {
            for place in &chunk.frames {
                let bytes = chunk.bytes.get(place.at..place.at + place.len).unwrap_or_default();
                let frame = FrameRef::parse(bytes).ok_or_else(|| Error::corrupt("a frame does not verify"))?;
                if frame.header.log_index != LogIndex(self.published().0 + 1) {
                    return Err(Error::corrupt("a frame is not the one that comes next"));
                }
                self.fold(&frame, &chunk.writer_id)?;
                self.publish(None, frame.header.log_index);
            }
        }
        Ok(())
    }
}
