//! What is no file of this format, and is known all the same: databases of kitedb 0.2 and of before.

use super::device::Device;
use crate::{
    error::{Error, ErrorCode},
    io::Disk,
    shell::command,
};
use std::path::Path;

/// What a file of kitedb 0.1 and 0.2 begins with.
const MAGIC_0_2: &[u8; 16] = b"KiteDB format 1\0";
/// A folder of the form that was before those: its manifest, and its folder of snapshots with what their names end in.
const FOLDER_MANIFEST: &str = "manifest.gdm";
const FOLDER_SNAPSHOTS: (&str, &str) = ("snapshots", ".gds");

/// The way over from kitedb 0.2.
fn way_over() -> String {
    let import = command("import", Path::new("NEW.kitedb"), "GRAPH.jsonl");
    format!(
        "it stays as it is. Export its graph as JSON Lines with the version that wrote it, turn those into what is imported here \
         (scripts/export-of-0-2.py in the repository: docs/migrating-from-0.2.md), and import that into another file ({import})"
    )
}

/// Why a file without the magic number of this format is not opened.
pub(super) fn file(device: &Device) -> Error {
    let path = device.path.display();
    let mut head = [0; MAGIC_0_2.len()];
    if device.file.read_exact_at(&mut head, 0).is_ok() && head == *MAGIC_0_2 {
        let what =
            format!("{path} is a database of kitedb 0.2, whose format this version does not read; {}", way_over());
        return Error::new(ErrorCode::Format02, what).with_path(&device.path);
    }
    Error::new(ErrorCode::NotADatabase, format_args!("{path} is not a KiteDB database")).with_path(&device.path)
}

/// Why a folder is not opened, if it is a database of the form that kitedb had before it had files.
pub fn folder(disk: &dyn Disk, path: &Path) -> Option<Error> {
    let (snapshots, ending) = FOLDER_SNAPSHOTS;
    let holds_snapshots =
        || disk.list(&path.join(snapshots)).is_ok_and(|names| names.iter().any(|n| n.ends_with(ending)));
    let is_one =
        disk.list(path).is_ok_and(|names| names.iter().any(|name| name == FOLDER_MANIFEST)) || holds_snapshots();
    let what = || {
        format!(
            "{} is a database in the form of a folder, of kitedb before 0.2, which this version does not read; {}",
            path.display(),
            way_over()
        )
    };
    is_one.then(|| Error::new(ErrorCode::Format02, what()).with_path(path))
}
