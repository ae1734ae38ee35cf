//! The source that a replica follows, remembered in its sidecar: it has to be named once.
//!
//! The file `source`: a line with the path of the source's file, one with the path of its sidecar if one was given, one
//! with the CRC-32 of both in hexadecimal. Bytes of paths that would end a line, and `%`, are written as `%` and two
//! hexadecimal digits. It is replaced as a whole.

use super::replica::SourcePaths;
use crate::{
    db::{Engine, folder_of},
    error::{Error, Result},
    io::{OpenMode, clear_name},
};
use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

const NAME: &str = "source";
const DRAFT: &str = "source.creating";
/// Two paths are never longer.
const MAX_LEN: u64 = 64 << 10;

/// Remembers that the replica `engine` follows the source at `paths`, durably.
pub fn remember(engine: &Engine, paths: &SourcePaths) -> Result<()> {
    if remembered(engine).as_ref() == Some(paths) {
        return Ok(());
    }
    // As seen from the folder of the replica's file, so that a folder with both can move.
    let folder = folder_of(&engine.path);
    let seen = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_owned();
    let paths = &SourcePaths { db: seen(&paths.db), sidecar: paths.sidecar.as_deref().map(seen) };
    let (disk, dir) = (&*engine.env.disk, &engine.log_dir);
    let (path, draft) = (dir.join(NAME), dir.join(DRAFT));
    let is_ours = |bytes: &[u8]| std::str::from_utf8(bytes).ok().and_then(decode).is_some();
    let write = || {
        // A draft that was cut short is put aside with what is of somebody else: nothing tells them apart.
        clear_name(disk, &draft, is_ours)?;
        if remembered(engine).is_none() {
            clear_name(disk, &path, is_ours)?;
        }
        let file = disk.open(&draft, OpenMode::CreateNew)?;
        file.write_at(encode(paths).as_bytes(), 0)?;
        file.sync_data()?;
        disk.rename(&draft, &path)?;
        disk.sync_dir(dir)
    };
    write().map_err(|e| Error::io("remember the source in", &path, e))
}

/// The source that the replica `engine` followed last. `None`: it never followed one, or the file that says so is damaged;
/// then it has to be named again.
pub fn remembered(engine: &Engine) -> Option<SourcePaths> {
    let file = engine.env.disk.open(&engine.log_dir.join(NAME), OpenMode::Read).ok()?;
    let len = file.len().ok().filter(|len| *len <= MAX_LEN)?;
    let mut bytes = vec![0; usize::try_from(len).ok()?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let paths = decode(std::str::from_utf8(&bytes).ok()?)?;
    // Joined to an absolute path, a folder does not matter.
    let from_here = |path: &Path| folder_of(&engine.path).join(path);
    Some(SourcePaths { db: from_here(&paths.db), sidecar: paths.sidecar.as_deref().map(from_here) })
}

fn encode(paths: &SourcePaths) -> String {
    let line = |path: &Path| -> String {
        let escaped = |byte: &u8| match byte {
            b'%' | 0..=31 | 127.. => format!("%{byte:02x}"),
            printable => char::from(*printable).to_string(),
        };
        path.as_os_str().as_bytes().iter().map(escaped).collect()
    };
    let sidecar = paths.sidecar.as_deref().map(line).unwrap_or_default();
    let text = format!("{}\n{sidecar}\n", line(&paths.db));
    format!("{text}{:08x}\n", crc32fast::hash(text.as_bytes()))
}

fn decode(text: &str) -> Option<SourcePaths> {
    let mut lines = text.split('\n');
    let (db, sidecar, crc) = (lines.next()?, lines.next()?, lines.next()?);
    let body = text.get(..db.len() + sidecar.len() + 2)?;
    if u32::from_str_radix(crc, 16).ok()? != crc32fast::hash(body.as_bytes()) {
        return None;
    }
    let path = |line: &str| -> Option<PathBuf> {
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
    };
    Some(SourcePaths { db: path(db)?, sidecar: path(sidecar) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_read_back_and_a_torn_one_is_none() {
        let strange = OsString::from_vec(b"/with %25 percent\nline\xff/end".to_vec());
        for (db, sidecar) in [("/a/b.kitedb".into(), None), (PathBuf::from(strange), Some("/log".into()))] {
            let paths = SourcePaths { db, sidecar };
            let text = encode(&paths);
            assert_eq!(decode(&text), Some(paths));
            for cut in 0..text.len() - 1 {
                assert_eq!(decode(&text[..cut]), None, "{:?}", &text[..cut]);
            }
        }
        assert_eq!(decode(""), None);
    }
}
