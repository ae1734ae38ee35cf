//! Going on with a log that was read back: the cut becomes real, and frames are appended where it ended.

use super::{Recovered, segments::LogSegment};
use crate::{
    error::{Error, ErrorCode, Result},
    graph::{Epoch, LogIndex},
    io::{Env, OpenMode},
    log::{
        Appender, LogOptions, SegmentInfo, WriterId,
        segment::{Segment, SegmentHeader, remove_after},
    },
};
use std::path::Path;

impl Recovered {
    /// Makes the cut real and hands over an appender. With `new_epoch`, or after a failed sync, it begins a new
    /// segment; else it goes on where the last frame ends. Everything recovered is durable afterwards. That a sync had failed
    /// stays noted: until its caller has made the epoch known that begins for it, the next open begins one, too.
    /// Upholds I8 and I38.
    pub fn resume(self, env: &Env, options: LogOptions, new_epoch: Option<(Epoch, WriterId)>) -> Result<Appender> {
        if let Some(damage) = self.damage {
            return Err(damage);
        }
        let tail = self.tail.ok_or_else(|| Error::new(ErrorCode::Internal, "recovery ended without a tail"))?;
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e| Error::own_file("repair log segment", &path, e)
        };
        // What it says to be durable holds after a loss of power, too.
        self.control.lower_durable(self.last)?;
        let last = &self.segments[tail.at];
        remove_after(&*env.disk, &self.dir, last.seq, last.header.log.file_id, "repair log segment")?;
        let file = env.disk.open(&last.path, OpenMode::ReadWrite).map_err(io(&last.path))?;
        let mut older: Vec<SegmentInfo> = self.segments[..tail.at].iter().map(LogSegment::info).collect();
        let end = if self.control.sync_unknown()
            && let Some((from, before, digest)) = tail.unmarked
        {
            // A sync that failed, or that its process was killed in, may have dropped these frames from the disk while the
            // cache still shows them: write them again, to another file, and sync that.
            let mut frames = vec![0; (tail.end - from) as usize];
            file.read_exact_at(&mut frames, from).map_err(io(&last.path))?;
            let header = SegmentHeader { first: LogIndex(before.0 + 1), digest_before: digest, ..last.header };
            let copy = Segment::create_whole(&*env.disk, &self.dir, last.seq + 1, header, &frames)?;
            // They are void here from now on, as is what may follow them; it must not look like commits some day.
            file.set_len(from).and_then(|()| file.sync_data()).map_err(io(&last.path))?;
            older.push(SegmentInfo { last: before, ..last.info() });
            older.push(SegmentInfo { seq: copy.seq, header: copy.header, last: self.last, bytes: copy.end });
            None
        } else {
            if tail.dirty {
                file.set_len(tail.end).map_err(io(&last.path))?;
            }
            if last.last < last.header.first {
                // Perhaps its making failed at the sync: then the header is in the cache and never on the disk.
                file.write_at(&last.header.encode(), 0).map_err(io(&last.path))?;
            }
            self.control.set_syncing()?;
            if let Err(e) = file.sync_data() {
                // The next recovery must not take a sync that succeeds for one of these frames.
                if let Err(unnoted) = self.control.set_sync_failed(true) {
                    tracing::warn!("that a sync failed was not noted: {unnoted}; that it began, was");
                }
                return Err(io(&last.path)(e));
            }
            Some(tail.end)
        };
        env.disk.sync_dir(&self.dir).map_err(io(&self.dir))?;
        self.control.end_syncing()?;
        let digest = self.digest;
        let (epoch, writer_id) = new_epoch.unwrap_or((last.header.epoch, last.header.writer_id));
        match end {
            Some(end) if new_epoch.is_none() => {
                let filled = file.len().map_err(io(&last.path))?;
                let segment =
                    Segment { seq: last.seq, header: last.header, file, path: last.path.clone(), end, filled };
                Appender::resume(env, &self.dir, options, self.control, older, segment, self.last, digest)
            }
            end => {
                if end.is_some() {
                    older.push(last.info());
                }
                let start = (epoch, writer_id, self.last, digest);
                Appender::begin_segment(env, &self.dir, options, last.header.log, self.control, older, start)
            }
        }
    }
}
