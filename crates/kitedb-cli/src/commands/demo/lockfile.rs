//! A `Cargo.lock` as a graph: crates are nodes, their dependencies edges.

use crate::{
    failure::{Failure, Outcome},
    import::{Element, Props},
};
use kitedb_core::Value;
use serde::Deserialize;
use std::{borrow::Cow, collections::HashMap, fs, path::Path};

pub const CRATE: &str = "Crate";
pub const DEPENDS_ON: &str = "DEPENDS_ON";

/// What the demo shows where there is no `Cargo.lock` around: the one this command was built with.
const BUILT_IN: &str = include_str!("../../../demo.lock");

/// The packages of a `Cargo.lock`.
pub struct LockFile {
    /// Where it was found.
    pub origin: String,
    pub crates: Vec<Package>,
}

#[derive(Deserialize)]
pub struct Package {
    name: String,
    version: String,
    /// Where it comes from; none for a member of the workspace.
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    package: Vec<Package>,
}

/// The next `Cargo.lock` from `folder` upwards, else the built-in one.
pub fn find(folder: &Path) -> Outcome<LockFile> {
    for folder in folder.ancestors() {
        let path = folder.join("Cargo.lock");
        if let Ok(text) = fs::read_to_string(&path) {
            let lock = parse(&text, path.display().to_string());
            return lock.map_err(|e| Failure::new(format_args!("cannot read {}: {e}", path.display())));
        }
    }
    parse(BUILT_IN, "the Cargo.lock of KiteDB itself, built in".to_owned()).map_err(Failure::new)
}

/// Reads a lock file's text.
pub fn parse(text: &str, origin: String) -> Result<LockFile, toml::de::Error> {
    Ok(LockFile { origin, crates: toml::from_str::<Document>(text)?.package })
}

impl LockFile {
    pub fn dependencies(&self) -> usize {
        self.crates.iter().map(|package| package.dependencies.len()).sum()
    }

    /// The graph: every crate, then every dependency.
    pub fn elements(&self) -> impl Iterator<Item = Element<'_>> {
        let names = self.names();
        let edges = self.crates.iter().flat_map(|package| package.dependencies.iter().map(move |text| (package, text)));
        self.crates.iter().map(Package::node).chain(edges.map(move |(package, text)| {
            // As written: `name`, `name version` or `name version (source)`.
            let mut words = text.split(' ');
            let (name, version) = (words.next().unwrap_or_default(), words.next());
            let version = version.or_else(|| names.get(name).copied()).unwrap_or_default();
            let requirement = vec![property("requirement", text)];
            Element::edge(package.key(), format!("{name} {version}"), Some(DEPENDS_ON.into()), requirement)
        }))
    }

    /// The version behind a bare name, which is written where there is only one.
    fn names(&self) -> HashMap<&str, &str> {
        self.crates.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect()
    }
}

impl Package {
    fn key(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    fn node(&self) -> Element<'_> {
        let mut props: Props<'_> = vec![property("name", &self.name), property("version", &self.version)];
        props.extend(self.source.as_deref().map(|source| property("source", source)));
        props.extend(self.checksum.as_deref().map(|checksum| property("checksum", checksum)));
        Element::node(self.key(), vec![CRATE.into()], props)
    }
}

fn property<'a>(name: &'static str, value: &str) -> (Cow<'a, str>, Value) {
    (Cow::Borrowed(name), Value::String(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::End;

    #[test]
    fn dependencies_are_found_by_name_and_by_version() {
        let text = r#"
            version = 4
            [[package]]
            name = "app"
            version = "0.1.0"
            dependencies = ["log", "rand 0.8.5", "rand 0.9.1 (registry+https://example.org)"]
            [[package]]
            name = "log"
            version = "0.4.2"
            source = "registry+https://example.org"
            checksum = "00"
        "#;
        let lock = parse(text, String::new()).unwrap();
        assert_eq!((lock.crates.len(), lock.dependencies()), (2, 3));
        let edges: Vec<_> = lock
            .elements()
            .filter_map(|element| match element {
                Element::Edge { src: End::Key(src), dst: End::Key(dst), .. } => {
                    Some((src.into_owned(), dst.into_owned()))
                }
                _ => None,
            })
            .collect();
        let edge = |dst: &str| ("app 0.1.0".to_owned(), dst.to_owned());
        assert_eq!(edges, [edge("log 0.4.2"), edge("rand 0.8.5"), edge("rand 0.9.1")]);
    }

    #[test]
    fn the_built_in_file_is_a_lock_file() {
        let lock = parse(BUILT_IN, String::new()).unwrap();
        assert!(lock.crates.iter().any(|package| package.name == "kitedb-core"));
    }
}
