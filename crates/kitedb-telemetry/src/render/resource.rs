//! What metrics are said to come from.

use crate::setters::setters;
use kitedb_core::Metrics;
use parking_lot::Mutex;
use std::{collections::HashMap, path::Path, sync::OnceLock};

/// What the metrics are said to come from.
///
/// Attributes of the same key as one of those that are made from the other fields take its place.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtlpResource {
    /// `service.name`; `None`: `kitedb`.
    pub service_name: Option<String>,
    /// `service.instance.id`; `None`: one made for this process and database.
    pub service_instance_id: Option<String>,
    /// More attributes.
    pub attributes: Vec<(String, String)>,
    /// Whether `kitedb.database.path` tells the whole path of the file, and `replica_id` that of a replica whose id is
    /// a path. Default: no.
    pub include_database_path: bool,
    /// Whether `kitedb.database.name` tells the file's name. Default: yes.
    pub include_database_name: bool,
}

setters!(OtlpResource {
    service_name: Option<String>,
    service_instance_id: Option<String>,
    attributes: Vec<(String, String)>,
    include_database_path: bool,
    include_database_name: bool,
});

impl OtlpResource {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for OtlpResource {
    fn default() -> Self {
        Self {
            service_name: None,
            service_instance_id: None,
            attributes: Vec::new(),
            include_database_path: false,
            include_database_name: true,
        }
    }
}

impl OtlpResource {
    /// The attributes, each key once.
    pub(super) fn attributes_of(&self, metrics: &Metrics) -> Vec<(String, String)> {
        let instance = || self.service_instance_id.clone().unwrap_or_else(|| instance_of(&metrics.path));
        let ours = [
            Some(("service.name", self.service_name.clone().unwrap_or_else(|| "kitedb".to_owned()))),
            Some(("service.version", env!("CARGO_PKG_VERSION").to_owned())),
            Some(("service.instance.id", instance())),
            self.include_database_name.then(|| ("kitedb.database.name", file_name(&metrics.path).to_owned())),
            self.include_database_path.then(|| ("kitedb.database.path", metrics.path.clone())),
            Some(("kitedb.metrics.scope", "replication".to_owned())),
        ];
        let mut all: Vec<(String, String)> =
            ours.into_iter().flatten().map(|(key, value)| (key.to_owned(), value)).collect();
        for (key, value) in &self.attributes {
            match all.iter_mut().find(|(known, _)| known == key) {
                Some(known) => known.1.clone_from(value),
                None => all.push((key.clone(), value.clone())),
            }
        }
        all
    }
}

/// The last part of a path; the path itself where it has none.
pub(super) fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// An id that is this process's and this database's alone: a random UUID, the same one each time.
fn instance_of(path: &str) -> String {
    static ALL: OnceLock<Mutex<HashMap<(u32, String), String>>> = OnceLock::new();
    // With the process's id: a fork is another process.
    let key = (std::process::id(), path.to_owned());
    ALL.get_or_init(Mutex::default).lock().entry(key).or_insert_with(random_uuid).clone()
}

/// A UUID of version 4.
fn random_uuid() -> String {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without a source of randomness: still not the same in two processes of one machine.
        bytes[..8].copy_from_slice(&crate::clock::now_ms().to_be_bytes());
        bytes[12..].copy_from_slice(&std::process::id().to_be_bytes());
    }
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    let hex = |range: std::ops::Range<usize>| -> String { bytes[range].iter().map(|b| format!("{b:02x}")).collect() };
    [hex(0..4), hex(4..6), hex(6..8), hex(8..10), hex(10..16)].join("-")
}
