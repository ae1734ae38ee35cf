//! One file, several keys, several writers.

use super::*;
use proptest::prelude::*;
use std::{collections::BTreeMap, os::unix::fs::symlink, sync::Barrier};
use tempfile::TempDir;

const BUDGET: Duration = Duration::from_secs(30);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn store(folder: &TempDir) -> FileStore {
    FileStore::new(&folder.path().join("breakers.json"))
}

fn failed(count: u32) -> BreakerState {
    BreakerState { consecutive_failures: count, ..BreakerState::default() }
}

async fn set(store: &FileStore, key: &str, count: u32) -> Result<BreakerState, StoreError> {
    store.update(key, None, &mut |state| state.consecutive_failures = count, BUDGET).await
}

fn mode(path: &Path) -> u32 {
    mode_of(path).unwrap()
}

#[tokio::test]
async fn a_file_that_is_missing_has_no_states_and_is_made_for_its_owner_alone() {
    let folder = folder();
    let store = store(&folder);
    assert_eq!(store.read("a", BUDGET).await.unwrap(), None);
    assert_eq!(set(&store, "a", 2).await.unwrap(), failed(2));
    assert_eq!(store.read("a", BUDGET).await.unwrap(), Some(failed(2)));
    assert_eq!(mode(store.path()), 0o600);
    let text = fs::read_to_string(store.path()).unwrap();
    assert_eq!(
        text,
        r#"{"a":{"consecutive_failures":2,"ewma_error_score":0.0,"half_open_in_flight":false,"half_open_remaining_probes":0,"open_until_ms":0}}"#
    );
    set(&store, "a", 0).await.unwrap();
    assert_eq!(fs::read_to_string(store.path()).unwrap(), "{}", "a state that says nothing is no entry");
}

#[tokio::test]
async fn what_changes_nothing_writes_nothing_and_takes_no_lock() {
    let folder = folder();
    let store = store(&folder);
    store.update("a", None, &mut |_| (), BUDGET).await.unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);

    fs::write(store.path(), r#" {"a" : {"consecutive_failures":2}} "#).unwrap();
    let _held = lock(&beside(store.path(), ".lock"), None, BUDGET).unwrap();
    assert_eq!(set(&store, "a", 2).await.unwrap(), failed(2));
    assert_eq!(fs::read_to_string(store.path()).unwrap(), r#" {"a" : {"consecutive_failures":2}} "#);
}

#[tokio::test]
async fn a_store_is_not_made_in_the_folder_of_a_log() {
    let folder = folder();
    let path = folder.path().join("p.kitedb");
    let options = kitedb_core::OpenOptions::new().replication_role(kitedb_core::ReplicationRole::Primary);
    let _db = kitedb_core::Database::open(path, options).unwrap();
    let store = FileStore::new(&folder.path().join("p.kitedb.replication/state.json"));
    let refused = set(&store, "a", 2).await.unwrap_err().to_string();
    assert!(refused.contains("is the folder of a log"), "{refused}");
    assert!(!store.path().exists());
}

#[tokio::test]
async fn memory_takes_the_place_of_an_absent_entry_only() {
    let folder = folder();
    let store = store(&folder);
    let memory = failed(5);
    let grown = |state: &mut BreakerState| state.consecutive_failures += 1;
    assert_eq!(store.update("a", Some(&memory), &mut { grown }, BUDGET).await.unwrap(), failed(6));
    set(&store, "b", 1).await.unwrap();
    assert_eq!(store.update("b", Some(&memory), &mut { grown }, BUDGET).await.unwrap(), failed(2));
    // Memory alone is worth a write.
    store.update("c", Some(&memory), &mut |_| (), BUDGET).await.unwrap();
    assert_eq!(store.read("c", BUDGET).await.unwrap(), Some(memory));
}

#[tokio::test]
async fn what_others_keep_there_is_kept() {
    let folder = folder();
    let store = store(&folder);
    let foreign = r#""b":{"open_until_ms":7,"later":[1.00]},"c":"no state","d":{"consecutive_failures":-1},"e":null"#;
    fs::write(store.path(), format!(r#"{{"a":{{"consecutive_failures":1,"mine":1e2}},{foreign}}}"#)).unwrap();
    set(&store, "a", 2).await.unwrap();
    let text = fs::read_to_string(store.path()).unwrap();
    assert!(text.contains(foreign) && text.contains(r#""mine":1e2"#), "{text}");
    assert_eq!(store.read("a", BUDGET).await.unwrap(), Some(failed(2)));
    assert!(store.read("c", BUDGET).await.is_err() && store.read("d", BUDGET).await.is_err());
}

#[tokio::test]
async fn the_permissions_of_the_file_stay_and_its_lock_has_them_too() {
    let folder = folder();
    let store = store(&folder);
    fs::write(store.path(), "{}").unwrap();
    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o640)).unwrap();
    set(&store, "a", 1).await.unwrap();
    assert_eq!(mode(store.path()), 0o640);
    assert_eq!(mode(&beside(store.path(), ".lock")), 0o640);
}

#[tokio::test]
async fn a_link_stays_a_link_and_shares_the_lock_of_what_it_leads_to() {
    let folder = folder();
    let store = store(&folder);
    let link = folder.path().join("link");
    fs::write(store.path(), "").unwrap();
    symlink("breakers.json", &link).unwrap();
    set(&FileStore::new(&link), "a", 1).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(store.read("a", BUDGET).await.unwrap(), Some(failed(1)));
    assert!(!beside(&link, ".lock").exists());
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_reported_and_left_alone() {
    let folder = folder();
    let store = store(&folder);
    let long = format!("{{\"b\":\"{}\"}}", "x".repeat(MAX_BYTES as usize));
    for text in [
        "{",
        "[]",
        "{}{}",
        r#"{"a":{"consecutive_failures":-1}}"#,
        r#"{"a":7}"#,
        r#"{"a":{"open_until_ms":"x"}}"#,
        &long,
    ] {
        fs::write(store.path(), text).unwrap();
        let error = set(&store, "a", 1).await.unwrap_err();
        assert!(error.to_string().contains("breakers.json: "), "{error}");
        assert!(store.read("a", BUDGET).await.is_err() && store.update_now("a", &mut |_| (), BUDGET).is_err());
        assert!(fs::read_to_string(store.path()).unwrap() == text, "the file was changed");
    }
    fs::write(store.path(), [b'{', 0xFF, b'}']).unwrap();
    assert!(set(&store, "a", 1).await.is_err());
    fs::remove_file(store.path()).unwrap();
    fs::create_dir(store.path()).unwrap();
    assert!(set(&store, "a", 1).await.unwrap_err().to_string().contains("not a file"));
}

#[tokio::test]
async fn a_folder_that_is_missing_is_reported() {
    let folder = folder();
    let store = FileStore::new(&folder.path().join("none").join("breakers.json"));
    assert_eq!(store.read("a", BUDGET).await.unwrap(), None);
    let error = set(&store, "a", 1).await.unwrap_err().to_string();
    assert!(error.contains("its lock cannot be taken"), "{error}");
}

#[tokio::test]
async fn who_cannot_get_the_lock_says_so_and_changes_nothing() {
    let folder = folder();
    let store = store(&folder);
    let held = lock(&beside(store.path(), ".lock"), None, BUDGET).unwrap();
    let error = store.update_now("a", &mut |state| state.generation = 1, PAUSE).unwrap_err().to_string();
    assert!(error.contains("another process has held"), "{error}");
    assert!(!store.path().exists());
    drop(held);
    store.update_now("a", &mut |state| state.generation = 1, PAUSE).unwrap();
}

#[test]
fn a_lock_file_that_was_removed_locks_nobody_out_or_in() {
    let folder = folder();
    let path = folder.path().join("lock");
    let removed = lock(&path, None, BUDGET).unwrap();
    assert!(is_at(&removed, &path).unwrap());
    fs::remove_file(&path).unwrap();
    assert!(!is_at(&removed, &path).unwrap());
    let held = lock(&path, None, PAUSE).unwrap();
    assert!(!is_at(&removed, &path).unwrap() && is_at(&held, &path).unwrap());
    assert!(lock(&path, None, PAUSE).is_err());
}

#[tokio::test]
async fn what_a_killed_writer_left_is_in_nobodys_way() {
    let folder = folder();
    let store = store(&folder);
    fs::write(beside(store.path(), ".tmp"), "{\"half").unwrap();
    set(&store, "a", 1).await.unwrap();
    assert_eq!(store.read("a", BUDGET).await.unwrap(), Some(failed(1)));
    assert!(!beside(store.path(), ".tmp").exists());
}

#[test]
fn no_change_of_many_writers_is_lost() {
    let folder = folder();
    let store = store(&folder);
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for writer in 0..8u32 {
            let (store, start) = (&store, &start);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                start.wait();
                for _ in 0..10 {
                    let mut grow = |state: &mut BreakerState| state.consecutive_failures += 1;
                    runtime.block_on(store.update("all", None, &mut grow, BUDGET)).unwrap();
                    store.update_now(&writer.to_string(), &mut grow, BUDGET).unwrap();
                }
            });
        }
    });
    let document = read(store.path()).unwrap();
    let count = |key: &str| document.entry(key).unwrap().unwrap().state.consecutive_failures;
    assert_eq!(count("all"), 80);
    assert!((0..8u32).all(|writer| count(&writer.to_string()) == 10));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_file_is_a_map_of_states(changes in prop::collection::vec(("[a-cµ\"\\\\/ ]{0,2}", 0u32..3), 1..12)) {
        let folder = folder();
        let store = store(&folder);
        let mut model = BTreeMap::new();
        for (key, count) in changes {
            store.update_now(&key, &mut |state| state.consecutive_failures = count, BUDGET).unwrap();
            if count == 0 { model.remove(&key) } else { model.insert(key, count) };
            let found: BTreeMap<String, BreakerState> = match fs::read_to_string(store.path()) {
                Ok(text) => serde_json::from_str(&text).unwrap(),
                Err(_) => BTreeMap::new(),
            };
            let found: BTreeMap<String, u32> =
                found.into_iter().map(|(key, state)| (key, state.consecutive_failures)).collect();
            prop_assert_eq!(&found, &model);
        }
    }
}
