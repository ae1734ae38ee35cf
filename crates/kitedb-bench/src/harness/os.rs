//! What the kernel says of this process and of files: bytes written, resident memory, space on disk, kind of file system.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::Res;

/// A folder of our own under `dir`, or where none is given under the first usual place that is a disk; gone when dropped.
pub fn scratch(dir: Option<&Path>) -> Res<TempDir> {
    let place = match dir {
        Some(dir) => {
            fs::create_dir_all(dir)?;
            dir.to_path_buf()
        }
        None => [std::env::temp_dir(), PathBuf::from("/var/tmp"), std::env::current_dir()?]
            .into_iter()
            .find(|p| p.is_dir() && !in_memory(p))
            .ok_or("no temporary folder on a disk: name one with --dir")?,
    };
    if in_memory(&place) {
        eprintln!(
            "note: {} lies in memory; syncs cost nothing there, so the figures of commits mean little",
            place.display()
        );
    }
    Ok(tempfile::Builder::new().prefix("kitedb-bench-").tempdir_in(place)?)
}

/// Whether a path lies on a file system without a disk.
fn in_memory(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let Ok(mounts) = fs::read_to_string("/proc/mounts") else { return false };
    let mut best = (0, "");
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(at), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if path.starts_with(at) && at.len() >= best.0 {
            best = (at.len(), kind);
        }
    }
    matches!(best.1, "tmpfs" | "ramfs")
}

/// Bytes this process has handed to `write` and its kin so far.
pub fn written() -> Res<u64> {
    io_field("/proc/self/io", "wchar")
}

/// The same of the calling thread alone.
pub fn written_by_this_thread() -> Res<u64> {
    io_field("/proc/thread-self/io", "wchar")
}

fn io_field(file: &str, field: &str) -> Res<u64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(": "));
    Ok(value.ok_or_else(|| format!("no {field} in {file}"))?.trim().parse()?)
}

/// Resident memory of this process, in bytes: with the pages of mapped files.
pub fn resident() -> Res<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let value = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|v| v.split_whitespace().next());
    Ok(value.ok_or("no VmRSS in /proc/self/status")?.parse::<u64>()? * 1024)
}

/// Bytes that a file, or all files of a folder, take on disk; and their lengths summed.
pub fn size_on_disk(path: &Path) -> Res<(u64, u64)> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok((meta.blocks() * 512, meta.len()));
    }
    let mut sum = (0, 0);
    for entry in fs::read_dir(path)? {
        let (blocks, len) = size_on_disk(&entry?.path())?;
        sum = (sum.0 + blocks, sum.1 + len);
    }
    Ok(sum)
}

/// Bytes of a folder's files up to the last one that is not zero: what was written of segments zero-filled ahead.
pub fn written_part(dir: &Path) -> Res<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        sum += fs::read(entry?.path())?.iter().rposition(|&byte| byte != 0).map_or(0, |at| at as u64 + 1);
    }
    Ok(sum)
}

/// Removes a file or a folder with all in it.
pub fn remove(path: &Path) -> Res<()> {
    if path.is_dir() {
        fs::remove_dir_all(path)?
    } else {
        fs::remove_file(path)?
    }
    Ok(())
}

/// Runs this program again with hidden arguments and returns the numbers it prints (none if it was told to die).
pub fn child(args: &[&str]) -> Res<Vec<f64>> {
    let out = Command::new(std::env::current_exe()?).arg("child").args(args).output()?;
    let text = String::from_utf8_lossy(&out.stdout);
    let numbers: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
    numbers.map_err(|_| format!("child {args:?}: {text} {}", String::from_utf8_lossy(&out.stderr)).into())
}
