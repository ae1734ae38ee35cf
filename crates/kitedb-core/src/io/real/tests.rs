//! Paths, handles, permissions and stamps on the file systems of this machine.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use super::RealDisk;
use crate::io::{Access, Disk, Env, OpenMode};

fn scratch() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    (dir, path)
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut bytes = vec![0; file.len()? as usize];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    disk.open(path, OpenMode::CreateNew).unwrap().write_at(bytes, 0).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Runs `test` in a thread whose working folder and umask are its own.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn apart(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only the working folder, the root and the umask are no longer shared; file descriptors stay so.
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FS) }.unwrap();
            test();
        });
        thread.join().unwrap();
    });
}

#[test]
fn links_are_followed_to_the_file_or_to_where_it_would_be() {
    let (_dir, dir) = scratch();
    fs::create_dir_all(dir.join("a/b")).unwrap();
    fs::write(dir.join("a/file"), b"").unwrap();
    symlink("../file", dir.join("a/b/one")).unwrap();
    symlink("b/one", dir.join("a/two")).unwrap();
    symlink(dir.join("a/two"), dir.join("three")).unwrap();
    symlink("a/b", dir.join("folder")).unwrap();
    symlink("folder/new", dir.join("dangling")).unwrap();
    symlink("dangling", dir.join("chain")).unwrap();
    symlink("none/new", dir.join("lost")).unwrap();
    symlink("loop", dir.join("loop")).unwrap();
    let anchored = RealDisk.anchor(&dir, None).unwrap();
    for disk in [&RealDisk as &dyn Disk, &*anchored] {
        for (path, expected) in [
            ("three", "a/file"),
            ("folder/one", "a/file"),
            ("folder/../file", "a/file"),
            ("folder/", "a/b"),
            ("folder/..", "a"),
            ("folder/other", "a/b/other"),
            ("dangling", "a/b/new"),
            ("chain", "a/b/new"),
        ] {
            assert_eq!(disk.resolve(&dir.join(path)).unwrap(), dir.join(expected), "{path}");
        }
        for (path, kind) in [
            ("lost", io::ErrorKind::NotFound),
            ("none/new", io::ErrorKind::NotFound),
            ("a/file/new", io::ErrorKind::NotADirectory),
            ("a/file/", io::ErrorKind::InvalidInput),
            ("new/", io::ErrorKind::InvalidInput),
            ("chain/.", io::ErrorKind::InvalidInput),
            ("loop", io::ErrorKind::InvalidInput),
            ("loop/new", io::ErrorKind::InvalidInput),
        ] {
            assert_eq!(disk.resolve(&dir.join(path)).unwrap_err().kind(), kind, "{path}");
        }
        assert_eq!(disk.resolve(Path::new("")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_relative_path_is_resolved_once_and_stays() {
    let (_dir, dir) = scratch();
    for name in ["one", "two"] {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("app"), name).unwrap();
    }
    apart(|| {
        std::env::set_current_dir(dir.join("one")).unwrap();
        let path = RealDisk.resolve(Path::new("app")).unwrap();
        assert_eq!(path, dir.join("one/app"));
        assert_eq!(RealDisk.resolve(Path::new("../two/./new")).unwrap(), dir.join("two/new"));
        assert_eq!(RealDisk.resolve(Path::new("new/")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(RealDisk.resolve(Path::new(".")).unwrap(), dir.join("one"));
        let disk = RealDisk.anchor(path.parent().unwrap(), None).unwrap();
        std::env::set_current_dir(dir.join("two")).unwrap();
        assert_eq!(read(&*disk, &path).unwrap(), b"one");
        // What is under no anchor starts at the working folder, as on a disk without anchors.
        assert_eq!(read(&*disk, Path::new("app")).unwrap(), b"two");
    });
}

#[test]
fn an_anchor_holds_its_folder_when_another_takes_its_place() {
    let (_dir, dir) = scratch();
    let data = dir.join("data");
    for name in ["data", "other"] {
        fs::create_dir_all(dir.join(name).join("wal")).unwrap();
        fs::write(dir.join(name).join("wal/segment"), name).unwrap();
    }
    let disk = RealDisk.anchor(&data, None).unwrap();
    let ours = disk.identity(&data.join("wal/segment")).unwrap();
    fs::rename(&data, dir.join("data.old")).unwrap();
    fs::rename(dir.join("other"), &data).unwrap();
    // Read, made, listed, renamed and removed is what lies in the folder that was anchored.
    assert_eq!(read(&*disk, &data.join("wal/segment")).unwrap(), b"data");
    assert_eq!(disk.identity(&data.join("wal/segment")).unwrap(), ours);
    disk.create_dir(&data.join("new")).unwrap();
    disk.create_dir(&data.join("new")).unwrap();
    assert!(disk.is_dir(&data) && disk.is_dir(&data.join("new")) && !disk.is_dir(&data.join("none")));
    write(&*disk, &data.join("new/file"), b"new");
    disk.rename(&data.join("new/file"), &data.join("file")).unwrap();
    disk.sync_dir(&data).unwrap();
    disk.sync_dir(&data.join("new")).unwrap();
    disk.remove_dir(&data.join("new")).unwrap();
    assert_eq!(disk.create_dir(&data.join("file")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    let mut names = disk.list(&data).unwrap();
    names.sort();
    assert_eq!(names, ["file", "wal"]);
    disk.remove(&data.join("wal/segment")).unwrap();
    assert!(disk.list(&data.join("wal")).unwrap().is_empty());
    assert_eq!(disk.remove(&data.join("wal/segment")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(fs::read(dir.join("data.old/file")).unwrap(), b"new");
    assert_eq!(fs::read(data.join("wal/segment")).unwrap(), b"other", "nothing of the other is touched");
    // Paths are resolved in the held folder too, though nothing bears its name.
    fs::remove_dir_all(&data).unwrap();
    assert_eq!(disk.resolve(&data.join("wal/../file")).unwrap(), data.join("file"));
    assert_eq!(disk.resolve(&data.join("none/file")).unwrap_err().kind(), io::ErrorKind::NotFound);
    // Nothing can be made in a held folder that was removed.
    fs::remove_dir_all(dir.join("data.old")).unwrap();
    assert_eq!(disk.open(&data.join("new"), OpenMode::CreateNew).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(disk.list(&data).unwrap_or_default().is_empty());
}

#[test]
fn anchors_add_up_and_the_longest_counts() {
    let (_dir, dir) = scratch();
    fs::create_dir_all(dir.join("data/wal")).unwrap();
    fs::create_dir(dir.join("outside")).unwrap();
    let (data, wal) = (dir.join("data"), dir.join("data/wal"));
    let disk = RealDisk.anchor(&data, None).unwrap().anchor(&wal, None).unwrap();
    fs::rename(&wal, dir.join("wal.old")).unwrap();
    fs::create_dir(&wal).unwrap();
    write(&*disk, &wal.join("a"), b"a");
    assert!(dir.join("wal.old/a").exists() && !wal.join("a").exists());
    // From one anchor to another, and out of all of them.
    disk.rename(&wal.join("a"), &data.join("b")).unwrap();
    disk.rename(&data.join("b"), &dir.join("outside/c")).unwrap();
    assert_eq!(fs::read(dir.join("outside/c")).unwrap(), b"a");
    disk.rename(&dir.join("outside/c"), &wal.join("d")).unwrap();
    assert_eq!(disk.list(&wal).unwrap(), ["d"]);
    // A folder anchored again is the one that is held, also once another has its name.
    let again = disk.anchor(&wal, None).unwrap();
    assert_eq!(again.list(&wal).unwrap(), ["d"]);
    assert!(RealDisk.anchor(&wal, None).unwrap().list(&wal).unwrap().is_empty());
}

#[test]
fn only_a_resolved_folder_is_anchored_and_no_path_leads_out_of_it() {
    let (_dir, dir) = scratch();
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(dir.join("file"), b"").unwrap();
    symlink("data", dir.join("link")).unwrap();
    for (folder, kind) in [("none", io::ErrorKind::NotFound), ("file", io::ErrorKind::NotADirectory)] {
        assert_eq!(RealDisk.anchor(&dir.join(folder), None).unwrap_err().kind(), kind);
    }
    assert!(RealDisk.anchor(&dir.join("link"), None).is_err());
    assert_eq!(RealDisk.anchor(Path::new("data"), None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let disk = RealDisk.anchor(&dir.join("data"), None).unwrap();
    let out = dir.join("data/../file");
    assert_eq!(disk.open(&out, OpenMode::Read).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(disk.remove(&out).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(!disk.is_dir(&dir.join("data/..")));
}

#[test]
fn a_file_under_an_anchor_is_opened_through_no_link() {
    let (_dir, dir) = scratch();
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(dir.join("secret"), b"secret").unwrap();
    symlink("../secret", dir.join("data/link")).unwrap();
    symlink("../new", dir.join("data/dangling")).unwrap();
    let disk = RealDisk.anchor(&dir.join("data"), None).unwrap();
    for mode in [OpenMode::Read, OpenMode::ReadWrite] {
        let error = disk.open(&dir.join("data/link"), mode).unwrap_err();
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    }
    let error = disk.open(&dir.join("data/dangling"), OpenMode::CreateNew).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    // A file given by a path outside follows links as before.
    let elsewhere = RealDisk.anchor(&dir.join("data"), None).unwrap();
    symlink("secret", dir.join("outer")).unwrap();
    assert_eq!(read(&*elsewhere, &dir.join("outer")).unwrap(), b"secret");
}

#[test]
#[cfg(target_os = "linux")]
fn what_is_made_beside_a_file_has_its_permissions_whatever_the_umask() {
    let (_dir, dir) = scratch();
    let root = rustix::process::geteuid().is_root();
    let mine = fs::metadata(&dir).unwrap();
    let (uid, gid) = if root { (12_345, 23_456) } else { (mine.uid(), mine.gid()) };
    apart(|| {
        for umask in [0o000, 0o022, 0o077] {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
            for like in [0o600, 0o640, 0o644, 0o664, 0o666, 0o4755] {
                let folder = dir.join(format!("{umask:o}-{like:o}"));
                fs::create_dir(&folder).unwrap();
                let plain = RealDisk.anchor(&folder, None).unwrap();
                plain.create_dir(&folder.join("plain")).unwrap();
                write(&*plain, &folder.join("plain-file"), b"");
                assert_eq!(mode(&folder.join("plain")), 0o777 & !umask);
                assert_eq!(mode(&folder.join("plain-file")), 0o666 & !umask);
                let disk = plain.anchor(&folder, Some(Access { mode: like, uid, gid })).unwrap();
                disk.create_dir(&folder.join("wal")).unwrap();
                write(&*disk, &folder.join("wal/segment"), b"bytes");
                let file = disk.open(&folder.join("wal/segment"), OpenMode::ReadWrite).unwrap();
                assert_eq!(file.access().unwrap(), Access { mode: like & 0o777, uid, gid });
                assert_eq!(mode(&folder.join("wal")), (like & 0o777) | (like & 0o444) >> 2);
                let made = fs::metadata(folder.join("wal")).unwrap();
                assert_eq!((made.uid(), made.gid()), (uid, gid));
                // What was there before keeps what it has.
                disk.create_dir(&folder.join("plain")).unwrap();
                assert_eq!(mode(&folder.join("plain")), 0o777 & !umask);
            }
        }
    });
}

#[test]
fn a_folder_that_hands_its_group_down_goes_on_to_do_so() {
    let (_dir, dir) = scratch();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o2755)).unwrap();
    let mine = fs::metadata(&dir).unwrap();
    let like = Access { mode: 0o660, uid: mine.uid(), gid: mine.gid() };
    RealDisk.anchor(&dir, Some(like)).unwrap().create_dir(&dir.join("wal")).unwrap();
    assert_eq!(mode(&dir.join("wal")), 0o2770);
}

#[test]
fn a_stamp_tells_a_copy_from_a_file_that_was_renamed() {
    let (_dir, dir) = scratch();
    let (path, copy, moved) = (dir.join("file"), dir.join("copy"), dir.join("moved"));
    write(&RealDisk, &path, b"bytes");
    let stamp = |path: &Path| RealDisk.open(path, OpenMode::ReadWrite).unwrap().stamp().unwrap();
    let before = stamp(&path);
    assert!(Command::new("cp").arg("-a").arg(&path).arg(&copy).status().unwrap().success());
    assert!(!before.fits(&stamp(&copy)));
    RealDisk.open(&path, OpenMode::ReadWrite).unwrap().write_at(b"other", 9).unwrap();
    fs::rename(&path, &moved).unwrap();
    fs::hard_link(&moved, dir.join("second")).unwrap();
    assert_eq!(stamp(&moved), before);
    assert!(stamp(&dir.join("second")).fits(&before));
    // The copy in its place is still another.
    fs::rename(&copy, &path).unwrap();
    assert!(!before.fits(&stamp(&path)));
}

#[test]
fn hard_links_are_counted() {
    let (_dir, dir) = scratch();
    let file = RealDisk.open(&dir.join("file"), OpenMode::CreateNew).unwrap();
    assert_eq!(file.links().unwrap(), 1);
    fs::hard_link(dir.join("file"), dir.join("second")).unwrap();
    assert_eq!(file.links().unwrap(), 2);
    fs::remove_file(dir.join("second")).unwrap();
    fs::remove_file(dir.join("file")).unwrap();
    assert_eq!(file.links().unwrap(), 0);
}

#[test]
fn anchored_disks_are_used_by_many_threads() {
    let (_dir, dir) = scratch();
    let disk = RealDisk.anchor(&dir, None).unwrap();
    std::thread::scope(|scope| {
        for at in 0..4 {
            let (disk, path) = (Arc::clone(&disk), dir.join(at.to_string()));
            scope.spawn(move || write(&*disk, &path, b"x"));
        }
    });
    assert_eq!(disk.list(&dir).unwrap().len(), 4);
}

#[test]
fn a_process_that_has_ended_is_told_from_one_that_lives() {
    let env = Env::real();
    let mut child = Command::new("true").spawn().unwrap();
    let id = u64::from(child.id());
    child.wait().unwrap();
    assert!(env.holder(id).contains("which is gone"));
    for lives in [u64::from(std::process::id()), 1, 0, u64::MAX] {
        assert_eq!(env.holder(lives), format!("process id {lives}"));
    }
}
