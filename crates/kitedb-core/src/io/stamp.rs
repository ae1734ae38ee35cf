//! What tells a file from a copy of it, and who may use it.

/// What tells a file from a copy of it, as far as the file system tells. A copy (`cp -a`, `rsync`, `tar`) has another
/// stamp; a rename, a hard link, a remount and a bind mount keep it. The device number is no part of it, because a
/// remount changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// The file's number on its device.
    pub inode: u64,
    /// When the file was made, in nanoseconds since 1970.
    pub birth_ns: Option<u64>,
    /// What tells the file from earlier ones with the same number.
    pub generation: Option<u64>,
    /// Whether the file system keeps these for as long as the file lives. Where it does not (overlay, FUSE and some
    /// others: a copy-up or a remount changes them), a difference proves nothing.
    pub stable: bool,
}

impl Stamp {
    /// Whether both can be stamps of one file. What one of them does not say is skipped.
    pub fn fits(&self, other: &Self) -> bool {
        let agree = |a: Option<u64>, b: Option<u64>| a.zip(b).is_none_or(|(a, b)| a == b);
        self.inode == other.inode && agree(self.birth_ns, other.birth_ns) && agree(self.generation, other.generation)
    }
}

/// Who may use a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Access {
    /// The permission bits, with those for set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Access {
    /// The permission bits for a file beside one with this access.
    pub fn file_mode(self) -> u32 {
        self.mode & 0o777
    }

    /// The permission bits for a folder beside a file with this access: who may read the file may search the folder.
    pub fn folder_mode(self) -> u32 {
        self.file_mode() | (self.mode & 0o444) >> 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_fit_where_all_that_both_say_agrees() {
        let stamp = |inode, birth_ns, generation| Stamp { inode, birth_ns, generation, stable: true };
        let table = [
            (stamp(1, Some(2), Some(3)), stamp(1, Some(2), Some(3)), true),
            (stamp(1, Some(2), Some(3)), stamp(1, None, Some(3)), true),
            (stamp(1, Some(2), None), stamp(1, None, Some(3)), true),
            (stamp(1, None, None), stamp(2, None, None), false),
            (stamp(1, Some(2), None), stamp(1, Some(3), None), false),
            (stamp(1, Some(2), Some(3)), stamp(1, Some(2), Some(4)), false),
        ];
        for (a, b, expected) in table {
            assert_eq!(a.fits(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.fits(&a), expected, "{b:?} {a:?}");
            assert!(a.fits(&Stamp { stable: false, ..a }));
        }
    }

    #[test]
    fn who_reads_a_file_may_search_the_folder_beside_it() {
        for (mode, file, folder) in [
            (0o600, 0o600, 0o700),
            (0o644, 0o644, 0o755),
            (0o640, 0o640, 0o750),
            (0o4664, 0o664, 0o775),
            (0o620, 0o620, 0o720),
        ] {
            let access = Access { mode, uid: 1, gid: 2 };
            assert_eq!((access.file_mode(), access.folder_mode()), (file, folder));
        }
    }
}
