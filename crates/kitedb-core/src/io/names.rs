//! The names that this crate gives to files beside a database. Something of somebody else's may bear one of them: what is
//! there already is looked at before it goes, and what is not known to be ours stays, or is put aside. Upholds I34.

use super::{Disk, DiskFile, OpenMode};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Whoever looks at contents reads so much at once.
const PIECE: usize = 64 << 10;
/// So many files of one name may have been put aside.
const ASIDE: u32 = 1000;

/// The error for a name that is taken by what this crate did not make.
pub(crate) fn in_the_way(path: &Path) -> io::Error {
    let text = format!("{} is there already and is not known to be of this database: move it away", path.display());
    io::Error::new(io::ErrorKind::AlreadyExists, text)
}

/// The error for the name of a folder that cannot be made, or held, because what bears it is a file, or a link, wherever that leads:
/// what is written through a link would go where nobody looks for it.
pub(crate) fn no_folder(path: &Path, e: io::Error) -> io::Error {
    match e.kind() {
        kind @ (io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists) => {
            let text =
                format!("{} is there already, and is a link or a file, not a folder: move it away", path.display());
            io::Error::new(kind, text)
        }
        _ => e,
    }
}

/// Whether opening a file failed because a folder, a pipe or a link bears its name: none of them is ever ours.
pub(crate) fn is_other_kind(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput)
}

/// Whether a file holds nothing but zeros, or nothing at all, as one does whose making was cut short by a loss of power.
fn is_blank(file: &dyn DiskFile) -> io::Result<bool> {
    let (len, mut piece, mut at) = (file.len()?, vec![0; PIECE], 0);
    while at < len {
        match file.read_at(&mut piece, at)? {
            0 => break,
            read if piece[..read].iter().any(|byte| *byte != 0) => return Ok(false),
            read => at += read as u64,
        }
    }
    Ok(true)
}

/// Creates the file at `path`, to be written there and then renamed. One that is there goes if it is blank or `is_ours`
/// knows it; else the name is taken.
pub(crate) fn begin_draft(
    disk: &dyn Disk,
    path: &Path,
    is_ours: impl Fn(&[u8]) -> bool,
) -> io::Result<Arc<dyn DiskFile>> {
    match disk.open(path, OpenMode::CreateNew) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    match is_known(disk, path, is_ours) {
        Ok(true) => {}
        // A link that leads nowhere is there, and no file is.
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => return Err(in_the_way(path)),
    }
    disk.remove(path)?;
    disk.open(path, OpenMode::CreateNew)
}

/// Makes the name `path` free: a file that `is_ours` knows goes, as a blank one does; any other is put aside. Returns
/// where that is.
pub(crate) fn clear_name(disk: &dyn Disk, path: &Path, is_ours: impl Fn(&[u8]) -> bool) -> io::Result<Option<PathBuf>> {
    let done = is_known(disk, path, is_ours).and_then(|known| match known {
        true => disk.remove(path).map(|()| None),
        false => put_aside(disk, path).map(Some),
    });
    match done {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        done => done,
    }
}

/// Renames the file at `path` to `<path>.damaged`, or, where that is taken, to `<path>.damaged.2` and so on. Returns
/// where it is.
pub(crate) fn put_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let (aside, ()) = aside(path, |aside| disk.rename_new(path, aside))?;
    tracing::warn!(path = %path.display(), aside = %aside.display(), "a damaged file is put aside");
    Ok(aside)
}

/// Copies the file at `path` to where [`put_aside`] would put it, durably once the folder is synced. Returns where it is.
pub(crate) fn copy_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let from = disk.open(path, OpenMode::Read)?;
    let (aside, to) = aside(path, |aside| disk.open(aside, OpenMode::CreateNew))?;
    let (len, mut piece, mut at) = (from.len()?, vec![0; PIECE], 0);
    while at < len {
        match from.read_at(&mut piece, at)? {
            0 => break,
            read => {
                to.write_at(&piece[..read], at)?;
                at += read as u64;
            }
        }
    }
    to.sync_data().map(|()| aside)
}

/// Does `take` with the first name beside `path` that is free. Returns the name, and what came of it.
fn aside<T>(path: &Path, mut take: impl FnMut(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    for number in 1..=ASIDE {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if number == 1 { ".damaged".to_owned() } else { format!(".damaged.{number}") });
        let aside = path.with_file_name(name);
        match take(&aside) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            taken => return taken.map(|taken| (aside, taken)),
        }
    }
    let text = format!("{ASIDE} files of the name {} were put aside before: move them away", path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}

/// Whether the file at `path` is blank, or `is_ours` knows its beginning. One longer than 64 KiB is not.
pub(crate) fn is_known(disk: &dyn Disk, path: &Path, is_ours: impl Fn(&[u8]) -> bool) -> io::Result<bool> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(e) if is_other_kind(&e) => return Ok(false),
        file => file?,
    };
    if is_blank(&*file)? {
        return Ok(true);
    }
    let len = file.len()?;
    let mut bytes = vec![0; len.min(PIECE as u64) as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(len <= PIECE as u64 && is_ours(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::sim::SimDisk;

    const NAME: &str = "/name";

    fn disk(bytes: &[u8]) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.write(NAME, bytes).unwrap();
        disk
    }

    #[test]
    fn a_draft_takes_the_place_of_nothing_but_a_draft() {
        let ours = |bytes: &[u8]| bytes.starts_with(b"KITE");
        for (bytes, taken) in [(&b""[..], false), (&[0; 9000], false), (b"KITE half", false), (b"precious", true)] {
            let disk = disk(bytes);
            let begun = begin_draft(&disk, Path::new(NAME), ours);
            assert_eq!(begun.is_err(), taken, "{bytes:?}");
            assert_eq!(disk.read(NAME).unwrap(), if taken { bytes } else { b"" });
        }
        let disk = SimDisk::new(1);
        disk.symlink("/elsewhere", NAME).unwrap();
        begin_draft(&disk, Path::new(NAME), ours).unwrap_err();
    }

    #[test]
    fn what_is_put_aside_takes_no_other_ones_place() {
        let disk = disk(b"third");
        disk.write("/name.damaged", b"first").unwrap();
        disk.symlink("/nowhere", "/name.damaged.2").unwrap();
        let aside = clear_name(&disk, Path::new(NAME), |_| false).unwrap();
        assert_eq!(aside.as_deref(), Some(Path::new("/name.damaged.3")));
        assert_eq!(disk.read("/name.damaged").unwrap(), b"first");
        assert_eq!(disk.read("/name.damaged.3").unwrap(), b"third");
        assert_eq!(clear_name(&disk, Path::new(NAME), |_| false).unwrap(), None);
        disk.write(NAME, b"fourth").unwrap();
        let aside = copy_aside(&disk, Path::new(NAME)).unwrap();
        assert_eq!(aside, Path::new("/name.damaged.4"));
        assert_eq!((disk.read(NAME).unwrap(), disk.read(aside).unwrap()), (b"fourth".to_vec(), b"fourth".to_vec()));
    }
}
