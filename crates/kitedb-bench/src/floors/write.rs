//! The floor of a commit: 200 bytes appended to a file, alone or with `fdatasync`.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::Res;
use crate::engines::Commit;

/// What one commit of the floor writes.
const FRAME: [u8; 200] = [0xA5; 200];
/// Our segments are zero-filled this far ahead,
const AHEAD: u64 = 4 << 20;
/// in writes of this size: larger ones make each later append cost 2 µs instead of 0.75.
const PIECE: usize = 64 << 10;

/// Appends to a file.
pub struct Append {
    name: &'static str,
    file: File,
    at: u64,
    /// Where the zeros end; none for a file that grows with each write.
    filled: Option<u64>,
    sync: bool,
}

impl Append {
    /// Into a segment zero-filled ahead, as ours is.
    pub fn filled(dir: &Path, sync: bool) -> Res<Self> {
        let name = if sync { "floor: write + fdatasync, filled ahead" } else { "floor: write 200 B, filled ahead" };
        Self::create(dir, name, Some(0), sync)
    }

    /// Into a file that grows.
    pub fn growing(dir: &Path, sync: bool) -> Res<Self> {
        let name = if sync { "floor: write + fdatasync, growing" } else { "floor: write 200 B, growing" };
        Self::create(dir, name, None, sync)
    }

    fn create(dir: &Path, name: &'static str, filled: Option<u64>, sync: bool) -> Res<Self> {
        let path = dir.join(format!("floor-{}-{sync}", filled.is_some()));
        Ok(Self { name, file: File::create(path)?, at: 0, filled, sync })
    }

    /// Zeros the next stretch and syncs, so that a later sync moves no metadata.
    fn fill(&mut self, from: u64) -> Res<u64> {
        let zeros = vec![0; PIECE];
        for at in (from..from + AHEAD).step_by(PIECE) {
            self.file.write_all_at(&zeros, at)?;
        }
        self.file.sync_data()?;
        Ok(from + AHEAD)
    }
}

impl Commit for Append {
    fn name(&self) -> String {
        self.name.into()
    }

    fn commit(&mut self, _: u64) -> Res<()> {
        if let Some(filled) = self.filled
            && self.at + FRAME.len() as u64 > filled
        {
            self.filled = Some(self.fill(filled)?);
        }
        self.file.write_all_at(&FRAME, self.at)?;
        self.at += FRAME.len() as u64;
        if self.sync {
            self.file.sync_data()?;
        }
        Ok(())
    }
}

/// Writes `bytes` to a scratch file at an even rate over `seconds`, synced in pieces of 4 MiB as a checkpoint's are:
/// what a commit beside a checkpoint is compared with.
pub fn paced(path: &Path, bytes: u64, seconds: f64) -> Res<()> {
    const WRITE: u64 = 1 << 20;
    let file = File::create(path)?;
    let data = vec![0x5A; WRITE as usize];
    let start = std::time::Instant::now();
    let mut at = 0;
    while at < bytes {
        let n = WRITE.min(bytes - at);
        file.write_all_at(&data[..n as usize], at)?;
        at += n;
        if at.is_multiple_of(4 * WRITE) || at == bytes {
            file.sync_data()?;
        }
        let due = seconds * at as f64 / bytes as f64 - start.elapsed().as_secs_f64();
        if due > 0.0 {
            std::thread::sleep(std::time::Duration::from_secs_f64(due));
        }
    }
    Ok(())
}
