//! Locks on ranges of bytes, by `fcntl`, which neither std nor rustix offers in the form that belongs to the open
//! file instead of the process.
#![allow(unsafe_code)]

use std::{fs::File, io, mem, ops::Range, os::fd::AsRawFd};

use crate::io::LockKind;

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "illumos"))]
const SET: libc::c_int = libc::F_OFD_SETLK;
/// Without open file description locks: locks of the process, which exclude other processes only.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", target_os = "illumos")))]
const SET: libc::c_int = libc::F_SETLK;

/// Takes the lock, or says `false` if another open file excludes it.
pub(super) fn try_lock(file: &File, range: Range<u64>, kind: LockKind) -> io::Result<bool> {
    let kind = match kind {
        LockKind::Shared => libc::F_RDLCK,
        LockKind::Exclusive => libc::F_WRLCK,
    };
    match set(file, range, kind as libc::c_short) {
        Ok(()) => Ok(true),
        // POSIX leaves it open which of the two says "held by another".
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Releases what this open file holds of the range.
pub(super) fn unlock(file: &File, range: Range<u64>) -> io::Result<()> {
    set(file, range, libc::F_UNLCK as libc::c_short)
}

fn set(file: &File, range: Range<u64>, kind: libc::c_short) -> io::Result<()> {
    // To fcntl a length of 0 means "to the end of all offsets": never let an empty range become that.
    if range.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty range cannot be locked"));
    }
    let start = libc::off_t::try_from(range.start).map_err(|_| io::ErrorKind::InvalidInput)?;
    let len = libc::off_t::try_from(range.end).map_or(0, |end| end - start);
    // SAFETY: `flock` is a plain C struct of integers, for which zeros are valid (`l_pid` must be 0).
    let mut lock: libc::flock = unsafe { mem::zeroed() };
    lock.l_type = kind;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = start;
    lock.l_len = len;
    loop {
        // SAFETY: the descriptor is open as long as `file` is borrowed, and `lock` outlives the call.
        if unsafe { libc::fcntl(file.as_raw_fd(), SET, &raw const lock) } == 0 {
            return Ok(());
        }
        let e = io::Error::last_os_error();
        if e.kind() != io::ErrorKind::Interrupted {
            return Err(e);
        }
    }
}
