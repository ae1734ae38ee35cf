//! What the header says of the log that goes on after the file, and of the part that the file plays in replication. It
//! says so through a clean close, too: whoever opens the file under whatever name finds the same.
//!
//! Bytes of a slot, from 56 on: the log's id (16), its kind (1), open (1), boot id (16), clean tail: known (1), index
//! (8), digest (16); from 115 on, where zeros mean "not said": role (1), fenced (1), the epoch that it leads or follows
//! (8), the epoch that fenced it (8), the id of the promotion that did (16), the length of the hint (2), the hint (256), the
//! length of the folder that it was seen from (1), that folder (96).

use crate::{
    error::{Error, Result},
    graph::{Digest, Epoch, LogIndex, codec::Reader},
};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

/// Where a database's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum LogKind {
    /// There is none: the file is complete in itself.
    #[default]
    None = 0,
    /// In a folder beside the file that goes with a clean close.
    Private = 1,
    /// In the replication sidecar.
    Sidecar = 2,
}

/// What part a file plays in replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Nothing was said.
    #[default]
    Unsaid,
    /// None.
    StandAlone,
    /// It is a primary that leads this epoch.
    Leads(Epoch),
    /// It is a primary that led an epoch until another node took over.
    Fenced {
        /// The epoch that it led.
        led: Epoch,
        /// The epoch that began elsewhere.
        by: Epoch,
        /// The promotion that fenced it.
        promotion: [u8; 16],
    },
    /// It is a replica that follows this epoch.
    Follows(Epoch),
}

impl Part {
    /// The latest epoch that it names.
    pub fn epoch(&self) -> Epoch {
        match *self {
            Self::Unsaid | Self::StandAlone => Epoch(0),
            Self::Leads(epoch) | Self::Follows(epoch) => epoch,
            Self::Fenced { led, by, .. } => led.max(by),
        }
    }
}

/// What the file knows of its log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogLink {
    /// The log's identity.
    pub id: [u8; 16],
    /// Where it is.
    pub kind: LogKind,
    /// Whether commits may have been appended since the last clean close.
    pub open: bool,
    /// The boot of the machine that opened it.
    pub boot_id: [u8; 16],
    /// After a clean close, the last index and the state's digest at it.
    pub clean_tail: Option<(LogIndex, Digest)>,
    /// The part that the file plays in replication.
    pub part: Part,
    /// Where the log was last. It says where to look; the id decides.
    pub hint: Hint,
}

impl LogLink {
    /// Whether no log was ever named, whatever part the file was made for.
    pub fn names_no_log(&self) -> bool {
        Self { part: Part::Unsaid, ..self.clone() } == Self::default()
    }
}

/// Where a log was last, as seen from the file's folder: relative if it lies in or under that folder, else absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    dir: Option<PathBuf>,
    /// Of one that is relative: the file's folder then, if it is not too long. A file that is moved without its log names it
    /// all the same.
    seen_from: Option<PathBuf>,
}

/// The longest folder that a header remembers, in bytes: what is said of a log ends with byte 503.
const MAX_FOLDER: usize = 96;

impl Hint {
    /// The longest hint, in bytes.
    pub const MAX: usize = 256;

    /// The hint to `dir`, seen from `folder`; both resolved. `None` if it is longer than a header holds.
    pub fn to(dir: &Path, folder: &Path) -> Option<Self> {
        let (path, seen_from) = dir.strip_prefix(folder).map_or((dir, None), |path| (path, Some(folder)));
        let seen_from = seen_from.filter(|folder| folder.as_os_str().len() <= MAX_FOLDER).map(Path::to_owned);
        (path.as_os_str().len() <= Self::MAX).then(|| Self { dir: Some(path.to_owned()), seen_from })
    }

    /// Where it leads, seen from `folder`.
    pub fn from(&self, folder: &Path) -> Option<PathBuf> {
        // Joined to an absolute path, a folder does not matter.
        self.dir.as_ref().map(|path| folder.join(path))
    }

    /// Where it led when it was made, wherever the file is now. `None`: that is not known.
    pub fn last_place(&self) -> Option<PathBuf> {
        let dir = self.dir.as_ref()?;
        if dir.is_absolute() { Some(dir.clone()) } else { self.seen_from.as_ref().map(|folder| folder.join(dir)) }
    }
}

impl LogLink {
    /// Appends the bytes of the link to those of a slot.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&[self.kind as u8, self.open.into()]);
        out.extend_from_slice(&self.boot_id);
        let (index, digest) = self.clean_tail.unwrap_or_default();
        out.push(self.clean_tail.is_some().into());
        out.extend_from_slice(&index.0.to_le_bytes());
        out.extend_from_slice(&digest.to_le_bytes());
        let none = (Epoch(0), [0; 16]);
        let (role, fenced, epoch, (by, promotion)) = match self.part {
            Part::Unsaid => (0, 0, Epoch(0), none),
            Part::StandAlone => (1, 0, Epoch(0), none),
            Part::Leads(epoch) => (2, 0, epoch, none),
            Part::Fenced { led, by, promotion } => (2, 1, led, (by, promotion)),
            Part::Follows(epoch) => (3, 0, epoch, none),
        };
        out.extend_from_slice(&[role, fenced]);
        out.extend_from_slice(&epoch.0.to_le_bytes());
        out.extend_from_slice(&by.0.to_le_bytes());
        out.extend_from_slice(&promotion);
        let bytes =
            |path: &Option<PathBuf>| path.as_ref().map_or(Vec::new(), |path| path.as_os_str().as_bytes().to_vec());
        let (mut hint, folder) = (bytes(&self.hint.dir), bytes(&self.hint.seen_from));
        out.extend_from_slice(&(hint.len() as u16).to_le_bytes());
        hint.resize(Hint::MAX, 0);
        out.extend_from_slice(&hint);
        out.push(folder.len() as u8);
        out.extend_from_slice(&folder);
    }

    pub(super) fn decode(r: &mut Reader<'_>) -> Result<Self> {
        let id = r.array()?;
        let kind = match r.u8()? {
            0 => LogKind::None,
            1 => LogKind::Private,
            2 => LogKind::Sidecar,
            kind => return Err(Error::corrupt(format_args!("unknown kind of log {kind}"))),
        };
        let open = r.u8()? != 0;
        let boot_id = r.array()?;
        let known = r.u8()? != 0;
        let tail = (LogIndex(r.u64()?), Digest::from_le_bytes(r.array()?));
        let (role, fenced) = (r.u8()?, r.u8()?);
        let (epoch, by, promotion) = (Epoch(r.u64()?), Epoch(r.u64()?), r.array()?);
        let part = match (role, fenced) {
            (0, 0) => Part::Unsaid,
            (1, 0) => Part::StandAlone,
            (2, 0) => Part::Leads(epoch),
            (2, 1) => Part::Fenced { led: epoch, by, promotion },
            (3, 0) => Part::Follows(epoch),
            _ => return Err(Error::corrupt(format_args!("unknown part {role}:{fenced} in replication"))),
        };
        let [low, high] = r.array()?;
        let len = usize::from(u16::from_le_bytes([low, high]));
        let dir = r.take(Hint::MAX)?.get(..len).ok_or_else(|| Error::corrupt("a hint is too long"))?;
        let len = usize::from(r.u8()?);
        let path = |bytes: &[u8]| (!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(bytes)));
        let hint = Hint { dir: path(dir), seen_from: path(r.take(len)?) };
        Ok(Self { id, kind, open, boot_id, clean_tail: known.then_some(tail), part, hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_link_says_is_read_back() {
        let some = |path: String| (!path.is_empty()).then(|| path.into());
        let hint = |(dir, from): (&str, usize)| Hint { dir: some(dir.to_owned()), seen_from: some("f".repeat(from)) };
        let fenced = Part::Fenced { led: Epoch(3), by: Epoch(4), promotion: [9; 16] };
        let parts = [Part::Unsaid, Part::StandAlone, Part::Leads(Epoch(7)), fenced, Part::Follows(Epoch(2))];
        let long = "x".repeat(Hint::MAX);
        let hints = [("", 0), ("a", 1), ("/far/away", 0), ("sub/folder", MAX_FOLDER), (&long, MAX_FOLDER)].map(hint);
        for (part, hint) in parts.into_iter().zip(hints) {
            let link = LogLink {
                id: [1; 16],
                kind: LogKind::Sidecar,
                open: true,
                boot_id: [2; 16],
                clean_tail: Some((LogIndex(5), Digest::default())),
                part,
                hint,
            };
            let mut bytes = Vec::new();
            link.encode(&mut bytes);
            assert_eq!(LogLink::decode(&mut Reader::new(&bytes)).unwrap(), link);
        }
        let zeros = [0; 352];
        assert_eq!(LogLink::decode(&mut Reader::new(&zeros)).unwrap(), LogLink::default());
    }

    #[test]
    fn a_hint_is_relative_where_it_can_be() {
        let to = |dir: &str| Hint::to(Path::new(dir), Path::new("/data")).unwrap();
        let near = Hint { dir: Some("a.replication".into()), seen_from: Some("/data".into()) };
        assert_eq!(to("/data/a.replication"), near);
        assert_eq!(near.last_place(), Some("/data/a.replication".into()));
        assert_eq!(to("/log/a").last_place(), Some("/log/a".into()));
        let far = format!("/{}", "x".repeat(MAX_FOLDER));
        let far = Hint::to(Path::new(&format!("{far}/a")), Path::new(&far)).unwrap();
        assert_eq!((far.last_place(), far.from(Path::new("/moved"))), (None, Some("/moved/a".into())));
        assert_eq!(to("/data/a.replication").from(Path::new("/moved")), Some("/moved/a.replication".into()));
        assert_eq!(to("/log/a").from(Path::new("/moved")), Some("/log/a".into()));
        assert_eq!(Hint::to(Path::new(&format!("/{}", "x".repeat(256))), Path::new("/data")), None);
        assert_eq!(Hint::default().from(Path::new("/data")), None);
    }
}
