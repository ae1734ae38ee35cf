//! The files of a log's segments: their names, which of them a folder has, and what is in one.

use crate::{
    error::{Error, ErrorCode, Result},
    io::{Disk, DiskFile, OpenMode, is_other_kind},
};
use std::path::{Path, PathBuf};

/// No log has so many segments: a name with a greater number is none of a segment.
const MAX_SEQ: u64 = 1 << 62;

/// Where a segment that has frames from the first is written, before it gets its name.
pub const SEGMENT_DRAFT: &str = "segment.creating";

/// The path of segment number `seq`.
pub fn path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("segment-{seq:020}.klog"))
}

/// The number in a segment's file name. `None` for a name that [`path`] gives to none.
pub fn parse_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".klog")?;
    digits.parse().ok().filter(|seq: &u64| *seq <= MAX_SEQ && format!("{seq:020}") == digits)
}

/// The files in `dir` that bear the name of a segment, oldest first.
pub fn segment_files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk.list(dir).map_err(|e| Error::own_file("list the folder of the log", dir, e))?;
    let mut files: Vec<(u64, PathBuf)> =
        names.iter().filter_map(|name| parse_name(name)).map(|seq| (seq, path(dir, seq))).collect();
    files.sort_unstable();
    Ok(files)
}

/// The greatest number that the name of a segment in `dir` has, whatever it is; 0 if there is none.
pub fn greatest(disk: &dyn Disk, dir: &Path) -> Result<u64> {
    let names = disk.list(dir).map_err(|e| Error::own_file("list the folder of the log", dir, e))?;
    Ok(names.iter().filter_map(|name| parse_name(name)).max().unwrap_or(0))
}

/// How many bytes the files in `dir` have that bear the name of a segment, as far as that can be told.
pub fn bytes_in(disk: &dyn Disk, dir: &Path) -> u64 {
    let files = segment_files(disk, dir).unwrap_or_default();
    let len = |(_, path): &(u64, PathBuf)| disk.open(path, OpenMode::Read).and_then(|file| file.len()).unwrap_or(0);
    files.iter().map(len).sum()
}

/// The bytes of a segment.
pub fn read_file(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read).map_err(|e| Error::own_file("read log segment", path, e))?;
    read_all(&*file, path)
}

/// The bytes that a segment has. A writer that recovers its log may cut it meanwhile.
pub fn read_all(file: &dyn DiskFile, path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::own_file("read log segment", path, e);
    let len = file.len().map_err(io)? as usize;
    let mut bytes = Vec::new();
    // Somebody may have made it as long as memory is not.
    if bytes.try_reserve_exact(len).is_err() {
        let what = format_args!("the {len} bytes of log segment {} do not fit into memory", path.display());
        return Err(Error::new(ErrorCode::Io, what));
    }
    bytes.resize(len, 0);
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], done as u64).map_err(io)? {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Whether opening what bears the name of a segment failed because it is gone, or is no file and so never was one.
pub fn is_none(e: &std::io::Error) -> bool {
    is_other_kind(e) || e.kind() == std::io::ErrorKind::NotFound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_a_segment_is_given_is_one() {
        let path = |seq| path(Path::new(""), seq).to_str().unwrap().to_owned();
        for seq in [0, 1, 77, MAX_SEQ] {
            assert_eq!(parse_name(&path(seq)), Some(seq));
        }
        for name in ["segment-1.klog", "segment-+0000000000000000001.klog", "segment-.klog", &path(u64::MAX)] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
