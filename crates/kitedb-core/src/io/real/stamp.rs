//! What the file systems of this machine tell of a file that a copy of it does not share.
#![allow(unsafe_code)]

use std::{fs::File, io, os::unix::fs::MetadataExt, time::UNIX_EPOCH};

use crate::io::Stamp;

/// The stamp of an open file.
pub(super) fn of(file: &File) -> io::Result<Stamp> {
    let metadata = file.metadata()?;
    // A file system without birth times is no error.
    let birth = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok(Stamp {
        inode: metadata.ino(),
        birth_ns: birth.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        generation: generation(file),
        stable: file_system(file).is_none_or(is_stable),
    })
}

/// The generation of the file's inode number; `None` where the file system has none or keeps it to itself.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn generation(file: &File) -> Option<u64> {
    use std::os::fd::AsRawFd;
    // The call is declared with a long, but most file systems write 32 bits: the rest stays zero.
    let mut generation: libc::c_long = 0;
    // SAFETY: the descriptor is open as long as `file` is borrowed; the kernel writes at most a long to the address of
    // one that outlives the call.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETVERSION, &raw mut generation) };
    (done == 0).then_some(generation as u64 & u64::from(u32::MAX))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn generation(_file: &File) -> Option<u64> {
    None
}

/// Which kind of file system a file lies on, by its magic number. `None` where it cannot be told.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn file_system(file: &File) -> Option<u32> {
    // The numbers have 32 bits; the field is wider, and signed, on some machines.
    Some(rustix::fs::fstatfs(file).ok()?.f_type as u32)
}

/// Elsewhere the numbers mean nothing that is known here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn file_system(_file: &File) -> Option<u32> {
    None
}

const FAT: u32 = 0x4d44;
const EXFAT: u32 = 0x2011_bab0;
pub(super) const FUSE: u32 = 0x6573_5546;
pub(super) const OVERLAY: u32 = 0x794c_7630;
const CIFS: u32 = 0xff53_4d42;
const SMB2: u32 = 0xfe53_4d42;
const PLAN9: u32 = 0x0102_1997;
const VIRTUALBOX: u32 = 0x786f_4256;

/// Whether a kind of file system keeps the stamp of a file for as long as the file lives.
fn is_stable(magic: u32) -> bool {
    // Overlay makes another inode when it copies a file up; the others may number their files anew at each mount.
    !matches!(magic, OVERLAY | FUSE | FAT | EXFAT | CIFS | SMB2 | PLAN9 | VIRTUALBOX)
}

/// Whether a kind of file system can be one that keeps no owner and no permissions of its own for each file.
pub(super) fn may_lack_permissions(magic: u32) -> bool {
    matches!(magic, FUSE | FAT | EXFAT | CIFS | SMB2 | PLAN9 | VIRTUALBOX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_number_files_anew_are_not_stable() {
        const EXT4: u32 = 0xef53;
        const TMPFS: u32 = 0x0102_1994;
        for (magic, stable, permissions) in
            [(EXT4, true, true), (TMPFS, true, true), (OVERLAY, false, true), (FUSE, false, false), (FAT, false, false)]
        {
            assert_eq!((is_stable(magic), !may_lack_permissions(magic)), (stable, permissions), "{magic:x}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn who_may_only_read_a_file_sees_the_same_stamp() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let written = of(&File::create_new(&path).unwrap()).unwrap();
        assert_eq!(of(&File::open(&path).unwrap()).unwrap(), written);
    }
}
