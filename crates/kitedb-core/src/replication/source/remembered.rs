//! The source that a replica follows, remembered in its sidecar: it has to be named once.
//!
//! The file `source`: a line that says its version; one with the path of the source's file, one with the path of its sidecar if one was given, one
//! with the CRC-32 of both in hexadecimal. These paths are as seen from the folder of the replica's file, so that a folder
//! with both can move. Then, for a replica that moves alone: the same two paths, absolute; the id of the source's file in
//! hexadecimal, if it is known; the CRC-32 of these three. Then, of a replica that was copied from another one: the id under
//! which it registers, in hexadecimal, and the CRC-32 of that: its control file, which has it, may be lost. Bytes of paths
//! that would end a line, and `%`, are written as `%` and two hexadecimal digits. The file is replaced as a whole.

use crate::{
    db::{Engine, folder_of},
    error::{Error, Result},
    io::{Disk, Env, OpenMode, clear_name, is_other_kind},
    replication::{
        node_file::{NodeFile, log_of},
        source::SourcePaths,
    },
};
use std::{
    ffi::OsString,
    io::ErrorKind,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

const NAME: &str = "source";
const DRAFT: &str = "source.creating";
/// Its first line. A file of another version tells nothing: the source has to be named again, and the file is put aside.
const VERSION: &str = "kitedb source 2\n";
/// Four paths are never longer.
const MAX_LEN: u64 = 128 << 10;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    /// As seen from the folder of the replica's file.
    near: SourcePaths,
    /// Absolute, and the id of the source's file if it is known.
    far: Option<(SourcePaths, Option<[u8; 16]>)>,
    /// Under which id the replica registers, if not under that of its file.
    registration: Option<[u8; 16]>,
}

/// The source that a replica followed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Where it is; where it is not found, where it is looked for.
    pub paths: SourcePaths,
    /// Where it was, if the replica's file was moved since and the source is neither there nor beside it.
    pub astray: Option<PathBuf>,
    /// The id of its file, if it was looked at when it was followed.
    pub file_id: Option<[u8; 16]>,
}

impl Remembered {
    /// Whether `given`, which leads to `resolved`, names this source: also where a link has taken the place of its file, beside its
    /// log, that leads to another one.
    pub fn is_named(&self, env: &Env, given: &Path, resolved: &Path) -> bool {
        let is_there = |given: PathBuf| {
            let place = env.disk.resolve(folder_of(&given)).ok()?.join(given.file_name()?);
            let left = || matches!(NodeFile::of(env, &self.paths, self.file_id), Ok((_, NodeFile::Unreadable(_))));
            Some(place == self.paths.db && left())
        };
        self.paths.db == resolved || std::path::absolute(given).ok().and_then(is_there).unwrap_or(false)
    }
}

/// Remembers that the replica `engine` follows the source at `paths` in `env`, durably. `followed`: it took over all that is
/// there; before, another file in the place of the one that it followed is not taken for that one.
pub fn remember(engine: &Engine, env: &Env, paths: &SourcePaths, followed: bool) -> Result<()> {
    let (disk, dir) = (&*engine.env.disk, &engine.log_dir);
    let known = match read(disk, dir) {
        // What was just followed is known better than by what cannot be read.
        Err(_) if followed => None,
        known => known?,
    };
    let folder = folder_of(&engine.path);
    let seen = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_owned();
    // A source that is away is the one that it was.
    let before = || known.as_ref()?.far.as_ref().filter(|(far, _)| far == paths)?.1;
    // Nor is another file in its place, beside the log that is followed.
    let now = || NodeFile::of(env, paths, before()).ok()?.1.file_id();
    let file_id = if followed { now().or_else(before) } else { before().or_else(now) };
    let record = Record {
        near: SourcePaths { db: seen(&paths.db), sidecar: paths.sidecar.as_deref().map(seen) },
        far: Some((paths.clone(), file_id)),
        registration: Some(engine.reporting_id())
            .filter(|id| *id != engine.store.file_id())
            .or(known.as_ref().and_then(|known| known.registration)),
    };
    if known.as_ref() == Some(&record) {
        return Ok(());
    }
    let (path, draft) = (dir.join(NAME), dir.join(DRAFT));
    let is_ours = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(decode).is_some();
    let write = || {
        // A draft that was cut short is put aside with what is of somebody else: nothing tells them apart.
        clear_name(disk, &draft, is_ours)?;
        if known.is_none() {
            clear_name(disk, &path, is_ours)?;
        }
        let file = disk.open(&draft, OpenMode::CreateNew)?;
        file.write_at(encode(&record).as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(&draft, &path)?;
        disk.sync_dir(dir)
    };
    write().map_err(|e| Error::own_file("remember the source in", &path, e))
}

/// The source in `env` that the replica `engine` followed last. `None`: it never followed one, or the file that says so is
/// damaged; then it has to be named again. Fails where that file cannot be read now.
pub fn recall(engine: &Engine, env: &Env) -> Result<Option<Remembered>> {
    let (disk, dir) = (&*engine.env.disk, &engine.log_dir);
    Ok(read(disk, dir)?.map(|record| look_for(record, &engine.path, env)))
}

/// As [`recall`], for who goes on without what cannot be read.
pub fn remembered(engine: &Engine, env: &Env) -> Option<Remembered> {
    remembered_in(&*engine.env.disk, &engine.log_dir, &engine.path, env)
}

/// Under which id the replica registers whose sidecar is `dir`, if not under that of its file: as far as it is remembered beside
/// its source.
pub fn registered_as(disk: &dyn Disk, dir: &Path) -> Option<[u8; 16]> {
    read(disk, dir).ok()??.registration
}

/// As [`remembered`], of the replica whose file is `path` and whose sidecar is `dir`. It is looked for beside the replica
/// first, then where it was; the id of its file decides.
pub fn remembered_in(disk: &dyn Disk, dir: &Path, path: &Path, env: &Env) -> Option<Remembered> {
    read(disk, dir).ok()?.map(|record| look_for(record, path, env))
}

fn look_for(Record { near, far, .. }: Record, path: &Path, env: &Env) -> Remembered {
    // Joined to an absolute path, a folder does not matter.
    let here = |seen: &Path| folder_of(path).join(seen);
    let near = SourcePaths { db: here(&near.db), sidecar: near.sidecar.as_deref().map(here) };
    let file_id = far.as_ref().and_then(|(_, id)| *id);
    let (paths, astray) = match far {
        Some((far, Some(id))) if far.db != near.db => {
            let is_it = |paths: &SourcePaths| match NodeFile::at(env, &paths.db) {
                Ok((_, file)) if file.file_id() == Some(id) => true,
                // Its log stays where it was, whatever took the place of its file.
                Ok((path, file)) => file.file_id().is_some() && log_of(env, paths, &path, id).is_some(),
                Err(_) => false,
            };
            match (is_it(&near), is_it(&far)) {
                (true, _) => (near, None),
                (false, true) => (far, None),
                (false, false) => (near, Some(far.db)),
            }
        }
        _ => (near, None),
    };
    Remembered { paths, astray, file_id }
}

/// What to do where a source is not found because the replica was moved without it.
pub fn where_is_it(astray: &Path) -> String {
    format!(
        "this replica was moved, and the source that it followed, {} then, is neither there nor beside it: say where that \
         is (--source-db, replication_source_db_path)",
        astray.display()
    )
}

/// Whether who looks may not read what the sidecar in `dir` remembers.
pub fn is_denied(disk: &dyn Disk, dir: &Path) -> bool {
    disk.open(&dir.join(NAME), OpenMode::Read).is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
}

/// What the file in `dir` holds; `None`: there is none, or it is damaged.
fn read(disk: &dyn Disk, dir: &Path) -> Result<Option<Record>> {
    let path = dir.join(NAME);
    let bytes = || {
        let file = match disk.open(&path, OpenMode::Read) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(e) if is_other_kind(&e) => return Ok(None),
            file => file?,
        };
        let Some(len) = Some(file.len()?).filter(|len| *len <= MAX_LEN) else { return Ok(None) };
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        match file.read_exact_at(&mut bytes, 0) {
            // It was cut meanwhile.
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
            read => read.map(|()| Some(bytes)),
        }
    };
    let bytes = bytes().map_err(|e| Error::own_file("read", &path, e))?;
    Ok(bytes.and_then(|bytes| decode(std::str::from_utf8(&bytes).ok()?)))
}

fn encode(record: &Record) -> String {
    let sealed = |text: String| format!("{text}{:08x}\n", crc32fast::hash(text.as_bytes()));
    let near = VERSION.to_owned() + &sealed(lines_of(&record.near));
    let Some((far, id)) = &record.far else { return near };
    let hex = |id: [u8; 16]| format!("{:032x}", u128::from_be_bytes(id));
    let far = sealed(format!("{}{}\n", lines_of(far), id.map(hex).unwrap_or_default()));
    near + &far + &record.registration.map(|id| sealed(format!("{}\n", hex(id)))).unwrap_or_default()
}

fn lines_of(paths: &SourcePaths) -> String {
    let line = |path: &Path| -> String {
        let escaped = |byte: &u8| match byte {
            b'%' | 0..=31 | 127.. => format!("%{byte:02x}"),
            printable => char::from(*printable).to_string(),
        };
        path.as_os_str().as_bytes().iter().map(escaped).collect()
    };
    format!("{}\n{}\n", line(&paths.db), paths.sidecar.as_deref().map(line).unwrap_or_default())
}

/// A later part that does not verify is as good as none.
fn decode(text: &str) -> Option<Record> {
    let mut rest = text.strip_prefix(VERSION)?;
    let [db, sidecar] = unsealed(&mut rest)?;
    let near = SourcePaths { db: path_in(db)?, sidecar: path_in(sidecar) };
    let id_in = |id: &str| u128::from_str_radix(id, 16).ok().map(u128::to_be_bytes);
    let far = unsealed(&mut rest)
        .and_then(|[db, sidecar, id]| Some((SourcePaths { db: path_in(db)?, sidecar: path_in(sidecar) }, id_in(id))));
    let registration = far.as_ref().and_then(|_| unsealed(&mut rest)).and_then(|[id]| id_in(id));
    Some(Record { near, far, registration })
}

/// The next `N` lines of `rest`, if the line after them is their CRC-32.
fn unsealed<'a, const N: usize>(rest: &mut &'a str) -> Option<[&'a str; N]> {
    let (text, mut at, mut found) = (*rest, 0, [""; N]);
    for line in &mut found {
        let len = text.get(at..)?.find('\n')?;
        *line = text.get(at..at + len)?;
        at += len + 1;
    }
    let (body, after) = text.split_at_checked(at)?;
    let (crc, after) = after.split_once('\n').unwrap_or((after, ""));
    *rest = after;
    (u32::from_str_radix(crc, 16).ok()? == crc32fast::hash(body.as_bytes())).then_some(found)
}

fn path_in(line: &str) -> Option<PathBuf> {
    let mut bytes = Vec::new();
    let mut rest = line.as_bytes().iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => *byte,
        });
    }
    (!bytes.is_empty()).then(|| PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_read_back_and_a_torn_one_is_none() {
        let strange = OsString::from_vec(b"/with %25 percent\nline\xff/end".to_vec());
        for (db, sidecar) in [("/a/b.kitedb".into(), None), (PathBuf::from(strange), Some("/log".into()))] {
            let near = SourcePaths { db, sidecar };
            let old = Record { near: near.clone(), far: None, registration: None };
            let text = encode(&old);
            assert_eq!(decode(&text), Some(old.clone()));
            for cut in 0..text.len() - 1 {
                assert_eq!(decode(&text[..cut]), None, "{:?}", &text[..cut]);
            }
            for other in ["", "kitedb source 3\n"] {
                assert_eq!(decode(&text.replace(VERSION, other)), None, "of another version");
            }
            for id in [None, Some([7; 16])] {
                let whole = Record { far: Some((near.clone(), id)), ..old.clone() };
                let longer = encode(&whole);
                assert_eq!(decode(&longer), Some(whole));
                assert!(longer.starts_with(&text), "what an earlier version reads is still there");
                for cut in text.len()..longer.len() - 1 {
                    assert_eq!(decode(&longer[..cut]), Some(old.clone()), "{:?}", &longer[..cut]);
                }
                let whole = decode(&longer).unwrap();
                let copied = Record { registration: Some([9; 16]), ..whole.clone() };
                let longest = encode(&copied);
                assert_eq!(decode(&longest), Some(copied));
                assert!(longest.starts_with(&longer), "what an earlier version reads is still there");
                for cut in longer.len()..longest.len() - 1 {
                    assert_eq!(decode(&longest[..cut]), Some(whole.clone()), "{:?}", &longest[..cut]);
                }
            }
        }
        assert_eq!(decode(""), None);
    }
}
