//! Whether a store to a mapped page of a file can need a block that the file system does not have.
//!
//! It can where the file system copies on write (btrfs), where two files may share blocks (xfs with reflinks, as `cp`
//! makes them by default), and where the page is a hole (`cp --sparse`, `tar -S`). Then the kernel kills the process.
#![allow(unsafe_code)]

use std::{fs::File, io};

/// Makes sure that no store to the first `len` bytes of the file needs a block, if that can be: fills what holes there
/// are. Returns whether it is so; where nothing is known of a file system, it is not. Upholds I41.
pub(super) fn make_sure(file: &File, len: u64) -> io::Result<bool> {
    Ok(match keeping(file) {
        Keeping::Later => true,
        Keeping::InPlace => !has_hole(file, len) || fill(file, len)?,
        Keeping::Anywhere => false,
    })
}

/// Where a file system keeps what is stored to a page that has a block.
#[derive(Debug, PartialEq, Eq)]
enum Keeping {
    /// In that block.
    InPlace,
    /// That is found out when the page is written back: an error is one of the next sync.
    Later,
    /// Perhaps in another one, which a store must find.
    Anywhere,
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn keeping(file: &File) -> Keeping {
    use super::stamp::{FUSE, OVERLAY, file_system};
    /// Of ext2 and ext3, too.
    const EXT4: u32 = 0xef53;
    const TMPFS: u32 = 0x0102_1994;
    const RAMFS: u32 = 0x8584_58f6;
    const XFS: u32 = 0x5846_5342;
    match file_system(file) {
        Some(EXT4 | TMPFS | RAMFS) => Keeping::InPlace,
        Some(XFS) if !linux::may_share_blocks(file) => Keeping::InPlace,
        // What an overlay lies on, it does not say; but it passes the flags of the file there on.
        Some(OVERLAY) if linux::is_of_ext4(file) => Keeping::InPlace,
        Some(FUSE) => Keeping::Later,
        _ => Keeping::Anywhere,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keeping(_file: &File) -> Keeping {
    Keeping::Anywhere
}

#[cfg(any(target_os = "linux", target_os = "android"))]
use linux::{fill, has_hole};

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use rustix::{
        fs::{FallocateFlags, SeekFrom, fallocate, ioctl_getflags, seek},
        io::Errno,
    };
    use std::{fs::File, io, os::fd::AsRawFd};

    /// Whether a part of the first `len` bytes has no block. (Files here are read and written by offsets: that the seek
    /// moves the file's own one disturbs nobody.)
    pub(in super::super) fn has_hole(file: &File, len: u64) -> bool {
        seek(file, SeekFrom::Hole(0)).map_or(true, |hole| hole < len)
    }

    /// Gives them blocks, which keeps what they hold, whoever stores to them meanwhile. Returns whether the file system can.
    pub(in super::super) fn fill(file: &File, len: u64) -> io::Result<bool> {
        loop {
            match fallocate(file, FallocateFlags::empty(), 0, len) {
                Ok(()) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(false),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Whether a file of an xfs may share blocks with another one, now or later.
    pub(super) fn may_share_blocks(file: &File) -> bool {
        /// The first version of `struct xfs_fsop_geom`: all versions have the flags where it has them.
        #[repr(C, align(8))]
        struct Geometry([u32; 28]);
        const FLAGS: usize = 23;
        const REFLINK: u32 = 1 << 20;
        /// `_IOR('X', 100, struct xfs_fsop_geom_v1)`
        const XFS_IOC_FSGEOMETRY_V1: u32 = 2 << 30 | (size_of::<Geometry>() as u32) << 16 | (b'X' as u32) << 8 | 100;
        let mut geometry = Geometry([0; 28]);
        // SAFETY: the descriptor is open as long as `file` is borrowed, and is one of an xfs, whose call this is: the
        // kernel writes as many bytes as its number says, which are those of `geometry`.
        let done = unsafe { libc::ioctl(file.as_raw_fd(), XFS_IOC_FSGEOMETRY_V1 as libc::Ioctl, &raw mut geometry) };
        done != 0 || geometry.0[FLAGS] & REFLINK != 0
    }

    /// Whether a file keeps its blocks in extents as ext4 does, the only one that says so of its files.
    pub(super) fn is_of_ext4(file: &File) -> bool {
        const EXTENTS: u32 = 0x0008_0000;
        ioctl_getflags(file).is_ok_and(|flags| flags.bits() & EXTENTS != 0)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn has_hole(_file: &File, _len: u64) -> bool {
    true
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn fill(_file: &File, _len: u64) -> io::Result<bool> {
    Ok(false)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// As `cp --sparse=always` and `tar -S` leave a control file, most of which is zeros.
    #[test]
    fn the_holes_of_a_sparse_copy_are_filled_before_its_words_are_stored_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("copy");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(65536).unwrap();
        if keeping(&file) != Keeping::InPlace {
            return println!("skipped: this file system may keep what is stored in other blocks");
        }
        assert_eq!(file.metadata().unwrap().blocks(), 0);
        assert!(make_sure(&file, 8192).unwrap());
        let metadata = file.metadata().unwrap();
        assert_eq!((metadata.len(), metadata.blocks()), (65536, 16));
        let changed = metadata.ctime_nsec();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 8192], 0).unwrap();
        let changed = file.metadata().map(|m| m.ctime_nsec().max(changed)).unwrap();
        // Nothing is done where nothing need be.
        assert!(make_sure(&file, 8192).unwrap());
        assert_eq!(file.metadata().unwrap().ctime_nsec().max(changed), changed);
    }
}
