//! A control file that another one takes the place of, or that goes with its log. Whoever has it mapped sleeps on words that
//! nobody changes any more: who replaces it wakes them, and they look at what is there now.
//!
//! Whoever sleeps looks at the name after it read the count that ends its sleep, and the count is raised once the name is
//! another file's: so one of both sees what the other did. What exchanges a file and is not KiteDB tells nobody.

use super::{
    CONTROL_NAME,
    event_counts::COUNT,
    is_control,
    layout::{FENCE_CHANGED, NEWS, REQUESTS, WORDS},
    locks::COUNT_LOCK,
};
use crate::io::{Disk, FileWords, OpenMode, copy_aside, put_aside};
use std::{
    io,
    path::{Path, PathBuf},
};

/// A control file that is being replaced. When this is dropped, all who sleep on its words are woken, in every process.
#[derive(Debug)]
pub struct Replaced {
    words: Option<FileWords>,
    /// Whether it can be told for a control file. Another file is not changed.
    ours: bool,
}

impl Replaced {
    /// Looks at the control file in `dir` before it goes, whatever became of its contents. Where it cannot be mapped, nobody
    /// is woken: who sleeps looks when its time has passed.
    pub fn look(disk: &dyn Disk, dir: &Path) -> Self {
        let look = || {
            let file = disk.open(&dir.join(CONTROL_NAME), OpenMode::ReadWrite)?;
            let mut bytes = vec![0; if file.len()? == WORDS as u64 * 8 { WORDS * 8 } else { 0 }];
            file.read_exact_at(&mut bytes, 0)?;
            let words = if bytes.is_empty() { None } else { Some(file.map_words(WORDS)?) };
            Ok::<_, io::Error>(Self { words, ours: is_control(&bytes) })
        };
        look().unwrap_or(Self { words: None, ours: false })
    }

    /// Puts the file in `dir` aside as it is. What tells who sleeps on its words would change it: then that is a copy.
    /// Returns where it is; `None`: there is none.
    pub fn put_aside(&self, disk: &dyn Disk, dir: &Path) -> io::Result<Option<PathBuf>> {
        let path = dir.join(CONTROL_NAME);
        let kept = if self.ours {
            let copy = copy_aside(disk, &path)?;
            disk.sync_dir(dir).and_then(|()| disk.remove(&path)).map(|()| copy)
        } else {
            put_aside(disk, &path)
        };
        match kept {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            kept => kept.map(Some),
        }
    }
}

impl Drop for Replaced {
    fn drop(&mut self) {
        let Some(words) = &self.words else { return };
        for at in [NEWS, REQUESTS] {
            if self.ours {
                // If it cannot be, who is about to sleep now may miss the wake.
                let _ = words.update_locked(at, COUNT_LOCK, COUNT, |count| count.wrapping_add(1));
            }
        }
        [NEWS, REQUESTS, FENCE_CHANGED].into_iter().for_each(|at| words.wake(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        graph::{Epoch, LogIndex},
        io::sim::SimDisk,
        log::{Control, LogIdentity},
    };
    use std::time::Duration;

    const DIR: &str = "/log";
    const LONG: Duration = Duration::from_secs(1 << 20);

    fn shared() -> (SimDisk, Control) {
        let (disk, dir) = (SimDisk::new(1), Path::new(DIR));
        disk.create_dir(dir).unwrap();
        let log = LogIdentity { log_id: [1; 16], file_id: [2; 16] };
        let control = Control::create(&disk, dir, log, [3; 16], Epoch(1)).unwrap();
        (disk, control)
    }

    /// Right before it sleeps, after it has looked.
    #[test]
    fn who_is_about_to_sleep_hears_that_the_file_is_replaced() {
        let replace: [fn(&SimDisk); 3] = [
            |disk| Control::clear(disk, Path::new(DIR), [2; 16]).unwrap(),
            |disk| drop(Replaced::look(disk, Path::new(DIR)).put_aside(disk, Path::new(DIR)).unwrap()),
            |disk| {
                let replaced = Replaced::look(disk, Path::new(DIR));
                disk.remove(&Path::new(DIR).join(CONTROL_NAME)).unwrap();
                drop(replaced);
            },
        ];
        for replace in replace {
            let (disk, control) = shared();
            control.wait_published(LogIndex(9), LONG, &|| {
                assert!(control.is_current(&disk));
                replace(&disk);
                true
            });
            assert!(!control.is_current(&disk));
            let (disk, control) = shared();
            control.wait_for_request(Some(0), None, &|| {
                replace(&disk);
                true
            });
        }
    }

    /// Whether or not who sleeps on its words can be told by them.
    #[test]
    fn a_file_that_is_kept_stays_as_it_is() {
        let path = Path::new(DIR).join(CONTROL_NAME);
        for damaged in [None, Some(0), Some(30)] {
            let (disk, _control) = shared();
            damaged.iter().for_each(|at| disk.corrupt(&path, *at, 1).unwrap());
            let before = disk.read(&path).unwrap();
            let replaced = Replaced::look(&disk, Path::new(DIR));
            let kept = replaced.put_aside(&disk, Path::new(DIR)).unwrap().unwrap();
            drop(replaced);
            assert_eq!(disk.read(&kept).unwrap(), before, "{damaged:?}");
            assert!(disk.identity(&path).is_err());
            assert_eq!(Replaced::look(&disk, Path::new(DIR)).put_aside(&disk, Path::new(DIR)).unwrap(), None);
        }
    }
}
