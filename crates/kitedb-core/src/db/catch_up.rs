//! A handle that was opened for reading only shows the state of that moment. Here it is told whether more was published since,
//! and shows that, too, where the log that it has read goes on: otherwise another one has to be opened.

use super::engine::Engine;
use crate::{
    error::{Error, Result},
    graph::LogIndex,
    io::OpenMode,
    log::{Control, FrameRef, LogPage, LogReader, PageLimits},
    store::Store,
};
use std::sync::Arc;

/// Bytes of the log that are read at once.
const PIECE: usize = 1 << 20;

/// What was published since what a handle shows.
enum Since {
    Nothing,
    /// What follows in its log, as this control file says.
    InItsLog(Box<Control>),
    /// What its log does not tell: a checkpoint or the end of a writer, another file or another log, a fence.
    Elsewhere,
}

impl Engine {
    /// Whether nothing was published that this view does not show: that of a handle that only reads is of the moment of its open,
    /// or of when it caught up last.
    pub(crate) fn shows_newest(&self) -> Result<bool> {
        Ok(matches!(self.published_since()?, Since::Nothing))
    }

    fn published_since(&self) -> Result<Since> {
        if !self.options.read_only {
            return Ok(Since::Nothing);
        }
        let io = |e| Error::io("look at", &self.path, e);
        let now = Store::peek(&self.env, &self.path)?;
        let same_file = now.file.identity().map_err(io)? == self.store.file().identity().map_err(io)?;
        if !same_file || now.generation != self.store.generation() || self.opened.is_damaged() {
            return Ok(Since::Elsewhere);
        }
        // Who goes on in a log that was read to its end says so in the header first.
        if !now.log.open || self.opened.has_read_to_end() {
            return Ok(Since::Nothing);
        }
        let control = Control::open(&*self.env.disk, &self.log_dir, OpenMode::Read)?;
        Ok(match control {
            None => Since::Elsewhere,
            Some(control) if self.has_another_part(&control)? => Since::Elsewhere,
            Some(control) if control.published() <= self.published() => Since::Nothing,
            Some(control) => Since::InItsLog(Box::new(control)),
        })
    }

    /// Shows all that was published by now, if the log of this view tells it; whether it does. Each frame is verified, and its digest
    /// is compared with that of the state that it makes, as by an open.
    pub(crate) fn catch_up(&self) -> Result<bool> {
        let mut reader = self.read_on.lock();
        let control = match self.published_since()? {
            Since::Nothing => return Ok(true),
            Since::Elsewhere => return Ok(false),
            Since::InItsLog(control) => *control,
        };
        let log = control.current_log();
        if (log.log_id, log.file_id) != (self.store.log_link().id, self.store.file_id()) {
            return Ok(false);
        }
        let through = control.published();
        let known = reader.take().filter(|reader| reader.control().is_current(&*self.env.disk));
        let reader = reader.insert(match known {
            Some(known) => known,
            None => LogReader::with_control(&self.env, &self.log_dir, Arc::new(control))?,
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
