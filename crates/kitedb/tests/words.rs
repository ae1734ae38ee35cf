//! What the documents say of this crate.

use std::{fs, path::Path};

/// The registry has another engine under this name until 0.3 is released: nobody is told to add that one.
#[test]
fn no_document_tells_to_add_it_from_a_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.clone(), root.join("docs"), root.join("crates")];
    let (mut read, words) = (0, ["cargo add", "kitedb"].join(" "));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let below_crates =
                path.strip_prefix(root.join("crates")).is_ok_and(|below| below.components().count() == 1);
            if entry.file_type().unwrap().is_dir() && below_crates {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                assert!(!fs::read_to_string(&path).unwrap().contains(&words), "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 5, "{read} documents were read");
}
