//! What the documents say of this crate.

use std::{fs, path::Path};

/// The registries have another engine under this name until 0.3 is released: nobody is told to add that one.
#[test]
fn no_document_tells_to_add_it_from_a_registry() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.clone(), root.join("docs"), root.join("crates"), root.join("ts")];
    folders.extend(
        ["bindings-node", "bindings-python"].map(|folder| root.join(folder)).into_iter().filter(|it| it.exists()),
    );
    let commands = ["cargo add", "pip install", "uv add", "npm install", "npm i", "pnpm add", "yarn add", "bun add"];
    let packages = ["kitedb", "@kitedb/core"];
    let words: Vec<_> = commands.iter().flat_map(|it| packages.map(|package| format!("{it} {package}"))).collect();
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let below_crates =
                path.strip_prefix(root.join("crates")).is_ok_and(|below| below.components().count() == 1);
            if entry.file_type().unwrap().is_dir() && below_crates {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(&path).unwrap();
                assert_eq!(words.iter().find(|words| text.contains(*words)), None, "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 5, "{read} documents were read");
}
