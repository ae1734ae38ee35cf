//! A lock on bytes of a file that ends by itself.

use super::{DiskFile, LockKind};
use std::{io, ops::Range, sync::Arc};

/// A lock on bytes of an open file, from [`FileLock::try_take`] until this is dropped: whatever ends the work under it, be
/// it an error or a panic, gives the lock back.
///
/// For work that begins and ends in one process. What a database holds for as long as it is open is given back by hand: a
/// forked child drops what it inherited, and must not unlock what its parent holds.
#[derive(Debug)]
#[must_use = "dropped at once, it locks nothing"]
pub(crate) struct FileLock {
    file: Arc<dyn DiskFile>,
    range: Range<u64>,
}

impl FileLock {
    /// Takes the lock without waiting; `None` if another open file holds part of it in a way that excludes this one.
    pub fn try_take(file: &Arc<dyn DiskFile>, range: Range<u64>, kind: LockKind) -> io::Result<Option<Self>> {
        let taken = file.try_lock(range.clone(), kind)?;
        Ok(taken.then(|| Self::held(file.clone(), range)))
    }

    /// Guards a lock that this open file holds already.
    pub fn held(file: Arc<dyn DiskFile>, range: Range<u64>) -> Self {
        Self { file, range }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // If it fails, the lock ends with the open file.
        let _ = self.file.unlock(self.range.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Disk, OpenMode, sim::SimDisk};
    use std::path::Path;

    #[test]
    fn a_lock_ends_with_its_guard_also_in_a_panic() {
        let (disk, path) = (SimDisk::new(1), Path::new("/file"));
        let (a, b) = (disk.open(path, OpenMode::CreateNew).unwrap(), disk.open(path, OpenMode::ReadWrite).unwrap());
        let take = |file| FileLock::try_take(file, 3..4, LockKind::Exclusive).unwrap();
        let held = take(&a);
        assert!(held.is_some() && take(&b).is_none());
        drop(held);
        let panicked = std::thread::scope(|scope| {
            let work = || {
                let _held = take(&b).unwrap();
                panic!("in the midst of its work");
            };
            scope.spawn(work).join()
        });
        assert!(panicked.is_err() && take(&a).is_some());
    }
}
