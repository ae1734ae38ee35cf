//! The appender: puts one frame after the other into segments, under the commit lock.

use super::{
    Control, GroupSync, LogIdentity, WriterId,
    segment::{
        self, Segment, SegmentHeader,
        frame::{self, FrameHeader, FrameRef},
        sync_mark,
    },
};
use crate::{
    error::{Error, ErrorCode, Result, is_full},
    graph::{Digest, Epoch, LogIndex},
    io::Env,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What the caller reserves before a payload, so that a frame is completed and written without a copy.
pub const FRAME_PREFIX: usize = sync_mark::MARK_LEN + frame::HEADER_LEN;
/// What the caller reserves before whole frames.
pub const FRAMES_PREFIX: usize = sync_mark::MARK_LEN;

/// The first stretch of zeros in a new segment; later ones are [`FILL_AHEAD`].
const FIRST_FILL: u64 = 256 << 10;
const FILL_AHEAD: u64 = 1 << 20;
/// So many bytes after a mark, the next write begins with another one, whether or not more is durable: marks are the
/// ways into a segment.
const MARK_EVERY: u64 = 64 << 10;

/// How a log is laid out.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// A segment that would grow beyond this many bytes is left for a new one.
    pub segment_max_bytes: u64,
}

impl LogOptions {
    fn first_fill(self) -> u64 {
        FIRST_FILL.min(self.segment_max_bytes)
    }
}

/// A segment that is no longer written.
#[derive(Debug, Clone)]
pub struct SegmentInfo {
    /// Its number.
    pub seq: u64,
    /// What it says of itself.
    pub header: SegmentHeader,
    /// The index of its last frame that counts; that of the segment before it if it has none.
    pub last: LogIndex,
    /// Its bytes on disk.
    pub bytes: u64,
}

/// The writing end of a log. One exists per log; it is used under the commit lock.
#[derive(Debug)]
pub struct Appender {
    env: Env,
    dir: PathBuf,
    options: LogOptions,
    control: Arc<Control>,
    sync: Arc<GroupSync>,
    segment: Segment,
    older: Vec<SegmentInfo>,
    last: LogIndex,
    digest: Digest,
    /// The durable index that the last mark in this log claims.
    marked: LogIndex,
    /// Where the last mark of the segment that is being written begins, as far as this appender knows.
    mark_at: u64,
    /// Up to where bytes of a failed append may lie.
    junk_end: u64,
    /// Whether whole frames may be among them, which another node wrote.
    strays: bool,
    /// Whether the next segment may lie there, from a rotation that failed.
    half_made: bool,
    /// Bytes written to the log by this appender.
    written_bytes: u64,
    /// The feature level that what this process writes needs.
    level: u16,
}

impl Appender {
    /// Begins the next segment of `log` in an epoch of a writer; an index and a digest say what comes before it.
    pub fn begin_segment(
        env: &Env,
        dir: &Path,
        options: LogOptions,
        log: LogIdentity,
        control: Arc<Control>,
        older: Vec<SegmentInfo>,
        start: (Epoch, WriterId, LogIndex, Digest),
    ) -> Result<Self> {
        let (epoch, writer_id, last, digest) = start;
        let seq = match older.last() {
            Some(last) => last.seq + 1,
            // What is there already, and is not of this log, is never in its way.
            None => segment::greatest(&*env.disk, dir)? + 1,
        };
        let first = LogIndex(last.0 + 1);
        let (begun_ms, level) = (env.host.now_ms(), env.host.written_level());
        let header = SegmentHeader { log, epoch, writer_id, first, digest_before: digest, begun_ms, level };
        let segment = Segment::create(&*env.disk, dir, seq, header, options.first_fill())?;
        Self::resume(env, dir, options, control, older, segment, last, digest)
    }

    /// Goes on in `segment`, whose frames up to `last` are durable.
    #[expect(clippy::too_many_arguments, reason = "the parts of a log, used once by recovery")]
    pub(super) fn resume(
        env: &Env,
        dir: &Path,
        options: LogOptions,
        control: Arc<Control>,
        older: Vec<SegmentInfo>,
        segment: Segment,
        last: LogIndex,
        digest: Digest,
    ) -> Result<Self> {
        let sync =
            Arc::new(GroupSync::new(env.host.clone(), control.clone(), segment.file.clone(), &segment.path, last));
        control.begin_session(&*env.host, last)?;
        control.expect_syncs()?;
        Ok(Self {
            env: env.clone(),
            dir: dir.to_owned(),
            options,
            control,
            sync,
            segment,
            older,
            last,
            digest,
            marked: LogIndex(0),
            mark_at: 0,
            junk_end: 0,
            strays: false,
            half_made: false,
            written_bytes: 0,
            level: env.host.written_level(),
        })
    }

    /// What waiters for durability share.
    pub fn group_sync(&self) -> &Arc<GroupSync> {
        &self.sync
    }

    /// The control file.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// The disk that it writes to: its log's very folder, whatever takes that one's name.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// Which log this is.
    pub fn identity(&self) -> LogIdentity {
        self.segment.header.log
    }

    fn current(&self) -> SegmentInfo {
        let Segment { seq, header, end, filled, .. } = &self.segment;
        SegmentInfo { seq: *seq, header: *header, last: self.last, bytes: *filled.max(end) }
    }

    /// The index of the last frame.
    pub fn last(&self) -> LogIndex {
        self.last
    }

    /// The epoch of the next frame.
    pub fn epoch(&self) -> Epoch {
        self.segment.header.epoch
    }

    /// Who writes that epoch.
    pub fn writer_id(&self) -> WriterId {
        self.segment.header.writer_id
    }

    /// Whether `writer_id` began the epoch of the next frame, and nothing was appended in it yet.
    pub fn is_unused_by(&self, writer_id: WriterId) -> bool {
        self.segment.header.writer_id == writer_id && self.last < self.segment.header.first
    }

    /// Bytes that this appender has written, marks and zeros ahead included.
    pub fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Bytes of the log on disk.
    pub fn disk_bytes(&self) -> u64 {
        self.older.iter().map(|s| s.bytes).sum::<u64>() + self.segment.filled.max(self.segment.end)
    }

    /// Fails once the log has failed in a way that only recovery can mend. Upholds I6.
    #[inline]
    pub fn require_sound(&self) -> Result<()> {
        if !self.sync.has_failed() {
            return Ok(());
        }
        Err(Error::new(
            ErrorCode::Poisoned,
            "an earlier failure of the log made this handle unusable for writes: reopen the database",
        ))
    }

    /// Lets nothing more be appended: what was last is not what its caller took it for.
    pub fn poison(&self) {
        self.sync.fail();
    }

    /// Completes the frame whose payload starts at [`FRAME_PREFIX`] in `buffer` and appends it. On error nothing
    /// has happened, unless the error is [`ErrorCode::OutcomeUnknown`]. Upholds I1.
    pub fn append(&mut self, buffer: &mut Vec<u8>, commit_ms: u64, digest: Digest) -> Result<FrameHeader> {
        self.require_sound()?;
        let (epoch, log_index) = (self.epoch(), LogIndex(self.last.0 + 1));
        let header = FrameHeader { epoch, log_index, commit_ms, digest, level: self.level };
        header.seal(buffer, sync_mark::MARK_LEN)?;
        self.make_room((buffer.len() - sync_mark::MARK_LEN) as u64)?;
        self.put(buffer, header.log_index, digest, false)?;
        Ok(header)
    }

    /// Appends frames as another node wrote them, in one write. Their bytes begin [`FRAMES_PREFIX`] into `buffer`,
    /// all are of this appender's epoch, and the last one is `last`. They may make the segment longer than its
    /// limit: see [`Appender::room`]. On error nothing has happened, unless it is [`ErrorCode::OutcomeUnknown`].
    pub fn append_verbatim(&mut self, buffer: &mut Vec<u8>, last: &FrameHeader) -> Result<()> {
        self.require_sound()?;
        self.make_room((buffer.len() - sync_mark::MARK_LEN) as u64)?;
        self.put(buffer, last.log_index, last.digest, true)
    }

    /// How many bytes more the segment that is being written should take.
    pub fn room(&self) -> u64 {
        if self.last < self.segment.header.first {
            // An empty segment takes at least one frame, however long.
            return self.options.segment_max_bytes.saturating_sub(self.segment.end).max(1);
        }
        self.options.segment_max_bytes.saturating_sub(self.segment.end + sync_mark::MARK_LEN as u64)
    }

    /// Begins a segment of another epoch; all before it is durable then.
    pub fn begin_epoch(&mut self, epoch: Epoch, writer_id: WriterId) -> Result<()> {
        self.require_sound()?;
        self.discard_half_made()?;
        self.rotate(epoch, writer_id)
    }

    /// Goes on in a new segment, unless this one is empty; all before it is durable then.
    pub fn leave_segment(&mut self) -> Result<()> {
        let SegmentHeader { epoch, writer_id, first, .. } = self.segment.header;
        if self.last < first { Ok(()) } else { self.begin_epoch(epoch, writer_id) }
    }

    fn discard_half_made(&mut self) -> Result<()> {
        if self.half_made {
            segment::discard(&*self.env.disk, &self.dir, self.segment.seq + 1)?;
            self.half_made = false;
        }
        Ok(())
    }

    /// Whether a frame in `buffer` (see [`Appender::append`]) would go into the segment that is being written: it is appended
    /// without a sync then.
    pub fn has_place_for(&self, buffer: &[u8]) -> bool {
        let bytes = sync_mark::MARK_LEN + frame::padded_len(buffer.len().saturating_sub(FRAME_PREFIX));
        let fits = self.segment.end + bytes as u64 <= self.options.segment_max_bytes;
        !self.half_made && (fits || self.last < self.segment.header.first)
    }

    /// Rotates if `bytes` more would not fit.
    fn make_room(&mut self, bytes: u64) -> Result<()> {
        self.discard_half_made()?;
        let SegmentHeader { epoch, writer_id, first, .. } = self.segment.header;
        if self.segment.end + sync_mark::MARK_LEN as u64 + bytes > self.options.segment_max_bytes && self.last >= first
        {
            self.rotate(epoch, writer_id)?;
        }
        Ok(())
    }

    /// Writes `buffer`: room for a mark, then frames up to `last`, which are `foreign` if another node wrote them. What the
    /// mark claims is read before (I9).
    fn put(&mut self, buffer: &mut Vec<u8>, last: LogIndex, digest: Digest, foreign: bool) -> Result<()> {
        let durable = self.sync.durable();
        let from = if durable > self.marked || self.segment.end >= self.mark_at + MARK_EVERY {
            buffer[..sync_mark::MARK_LEN].copy_from_slice(&sync_mark::encode(durable, &self.control.salt()));
            0
        } else {
            sync_mark::MARK_LEN
        };
        let at = self.segment.end;
        let end = at + (buffer.len() - from) as u64;
        if end < self.junk_end {
            buffer.resize(buffer.len() + (self.junk_end - end) as usize, 0);
        }
        if end > self.segment.filled && end < self.options.segment_max_bytes {
            self.segment.filled = self.segment.filled.max(at);
            let fill =
                FILL_AHEAD.min(self.options.segment_max_bytes - self.segment.filled).max(end - self.segment.filled);
            self.segment.fill_ahead(fill).map_err(|e| Error::io("extend", &self.segment.path, e))?;
            self.written_bytes += fill;
        }
        if let Err(e) = self.segment.file.write_at(&buffer[from..], at) {
            return Err(self.undo((at, at + (sync_mark::MARK_LEN - from) as u64, end), foreign, e));
        }
        self.segment.end = end;
        self.segment.filled = self.segment.filled.max(end);
        (self.junk_end, self.strays) = (0, false);
        self.written_bytes += (buffer.len() - from) as u64;
        if from == 0 {
            (self.marked, self.mark_at) = (durable, at);
        }
        self.last = last;
        self.digest = digest;
        self.sync.set_written(self.last);
        Ok(())
    }

    /// Makes sure that the bytes of a failed append can never be read as a frame, not even after a loss of power
    /// that keeps them and takes what was written over them. Upholds I5.
    fn undo(&mut self, (at, frame, end): (u64, u64, u64), foreign: bool, cause: std::io::Error) -> Error {
        // Beyond the end of the file there is nothing: a long frame that found no room leaves the short ones theirs.
        let there = self.segment.file.len().map_or(end, |len| len.min(end));
        self.junk_end = self.junk_end.max(there);
        // A full disk took the beginning at most, and where it copies on write it takes no zeros over it. Without its end a
        // frame is none. What another node wrote is what this log is to hold there: the next append writes it again, or
        // begins a segment that makes it void.
        let full = is_full(cause.kind());
        let harmless = full && (foreign || self.holds_frame(frame, end).is_ok_and(|there| !there));
        let cause = Error::io("append to", &self.segment.path, cause);
        if harmless {
            self.strays |= foreign;
            return cause;
        }
        match self.blot_out(at) {
            Ok(()) => cause,
            Err(_) => {
                self.sync.fail();
                cause.recoded(ErrorCode::OutcomeUnknown).and(
                    "it could not be undone, so whether this commit survives is unknown: reopen the database and look",
                )
            }
        }
    }

    /// Writes enough zeros, durably, that neither a mark nor a frame header survives at this place.
    fn blot_out(&self, at: u64) -> Result<()> {
        let zeros = self.segment.file.write_at(&[0; FRAME_PREFIX], at);
        zeros.map_err(|e| Error::io("write", &self.segment.path, e))?;
        self.sync.sync_file()
    }

    /// Makes sure that the log ends with its last frame for whoever reads it later. Until then whole frames may follow of
    /// an append that a full disk cut short, which only this appender knows not to count.
    pub fn end_here(&self) -> Result<()> {
        if self.strays { self.blot_out(self.segment.end) } else { Ok(()) }
    }

    /// Whether a frame verifies at that place.
    fn holds_frame(&self, at: u64, end: u64) -> std::io::Result<bool> {
        let mut there = vec![0; (end - at) as usize];
        let mut read = 0;
        while read < there.len() {
            match self.segment.file.read_at(&mut there[read..], at + read as u64)? {
                0 => break,
                bytes => read += bytes,
            }
        }
        Ok(FrameRef::parse(&there).is_some())
    }

    /// Begins the next segment, once all of this one is durable. Upholds I10.
    fn rotate(&mut self, epoch: Epoch, writer_id: WriterId) -> Result<()> {
        self.sync.sync_file().map_err(|e| e.context("nothing was appended"))?;
        let info = self.current();
        let header = SegmentHeader {
            epoch,
            writer_id,
            first: LogIndex(self.last.0 + 1),
            digest_before: self.digest,
            begun_ms: self.env.host.now_ms(),
            level: self.level,
            ..info.header
        };
        let made = Segment::make(&*self.env.disk, &self.dir, info.seq + 1)?;
        self.half_made = true;
        self.segment = Segment::begin(&*self.env.disk, made, info.seq + 1, header, self.options.first_fill())?;
        self.half_made = false;
        self.written_bytes += self.segment.filled;
        self.older.push(info);
        self.mark_at = 0;
        (self.junk_end, self.strays) = (0, false);
        self.sync.rotate(self.segment.file.clone(), &self.segment.path, self.last);
        Ok(())
    }

    /// The number of the segment that is written.
    pub fn seq(&self) -> u64 {
        self.segment.seq
    }

    /// Fails unless these segments hold no frame beyond `folded`, so that they can be removed. Upholds I11.
    pub fn require_folded(&self, seqs: &[u64], folded: LogIndex) -> Result<()> {
        let needed = |s: &SegmentInfo| seqs.contains(&s.seq) && s.last > folded;
        if seqs.contains(&self.segment.seq) || self.older.iter().any(needed) {
            return Err(Error::new(ErrorCode::Internal, "a log segment that recovery needs was to be removed"));
        }
        Ok(())
    }

    /// Takes note that these segments were removed.
    pub fn forget(&mut self, seqs: &[u64]) {
        self.older.retain(|s| !seqs.contains(&s.seq));
    }

    /// The numbers of whole segments whose frames are all at or below `index`, oldest first. The segment being written is
    /// none of them.
    pub fn folded_through(&self, index: LogIndex) -> Vec<u64> {
        self.older.iter().take_while(|s| s.last <= index).map(|s| s.seq).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::{
            Disk, OpenMode,
            sim::{SimDisk, SimHost},
        },
        log::{RecoveryStart, recover},
    };

    /// A frame that was written while a sync ran used to count as claimed by the mark of that sync, so that it was
    /// not copied after the next one failed.
    #[test]
    fn frames_that_no_mark_claims_are_copied_after_a_failed_sync() {
        let (disk, host) = (SimDisk::new(1), SimHost::new(1));
        let (env, dir) = (disk.env(&host), Path::new("/wal"));
        disk.create_dir(dir).unwrap();
        let identity = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let control = Arc::new(Control::create(&disk, dir, identity, [3; 16], Epoch(1)).unwrap());
        let options = LogOptions { segment_max_bytes: 1 << 20 };
        let begin = (Epoch(1), [4; 16], LogIndex(0), Digest::default());
        let mut log =
            Appender::begin_segment(&env, dir, options, identity, control.clone(), Vec::new(), begin).unwrap();
        let append = |log: &mut Appender| log.append(&mut vec![0; FRAME_PREFIX + 20], 0, Digest::default()).unwrap();
        append(&mut log);
        append(&mut log);
        // The sync covered the first frame only; the next write begins with its mark.
        log.sync.rotate(log.segment.file.clone(), &log.segment.path, LogIndex(1));
        append(&mut log);
        control.set_sync_failed(true).unwrap();
        drop(log);

        let start = RecoveryStart {
            log: identity,
            index: LogIndex(0),
            epoch: Epoch(1),
            digest: Digest::default(),
            limit: None,
        };
        let recovered = recover(&env, dir, None, start, OpenMode::ReadWrite, &mut |_, _| Ok(())).unwrap();
        let log = recovered.resume(&env, options, None).unwrap();
        let ends: Vec<u64> = log.older.iter().map(|s| s.last.0).collect();
        assert_eq!(ends, [1, 3]);
    }
}
