//! The texts: what is written is read as what it was, and what is damaged on its way is refused.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use kitedb_core::{Database, ErrorCode, GraphRead, OpenOptions, ReplicationRole};
use kitedb_transport::{LogPageJson, SnapshotJson, TransportJson};
use proptest::prelude::*;
use std::{fs, path::Path};

fn primary(dir: &Path, commits: usize) -> Database {
    let options = OpenOptions::new().replication_role(ReplicationRole::Primary);
    let db = Database::open(dir.join("primary.kitedb"), options).unwrap();
    for n in 0..commits {
        db.transaction(|tx| tx.create_node(Some(&format!("{n}")))).unwrap();
    }
    db
}

#[test]
fn a_graph_travels_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(dir.path(), 3);
    let text = db.primary_export_snapshot_transport_json(true).unwrap();
    let snapshot: SnapshotJson = text.parse().unwrap();
    assert_eq!((snapshot.checkpoint_log_index, snapshot.start_cursor.as_str()), (3, "1:0:0:4"));
    let copy = dir.path().join("copy.kitedb");
    fs::write(&copy, snapshot.data().unwrap().unwrap()).unwrap();
    let read = Database::open(&copy, OpenOptions::new().read_only(true)).unwrap();
    assert_eq!(read.snapshot().unwrap().count_nodes(), 3);
    assert_eq!(read.snapshot().unwrap().digest().to_string(), snapshot.digest);
    let without: SnapshotJson = db.primary_export_snapshot_transport_json(false).unwrap().parse().unwrap();
    assert_eq!((without.data().unwrap(), without.checksum_crc32c), (None, snapshot.checksum_crc32c));
    db.close().unwrap();
}

#[test]
fn pages_follow_each_other_and_say_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(dir.path(), 5);
    let (mut cursor, mut indexes) = (None::<String>, Vec::new());
    loop {
        let text = db.primary_export_log_transport_json(cursor.as_deref(), 2, 1 << 20, true).unwrap();
        let page: LogPageJson = text.parse().unwrap();
        for frame in &page.frames {
            assert_eq!(frame.payload().unwrap().unwrap().len(), frame.bytes);
            indexes.push(frame.log_index);
        }
        cursor = page.next_cursor;
        if page.eof {
            break;
        }
    }
    assert_eq!(indexes, [1, 2, 3, 4, 5]);
    let bare: LogPageJson =
        db.primary_export_log_transport_json(Some(" "), 9, 1 << 20, false).unwrap().parse().unwrap();
    assert!(bare.frames.iter().all(|frame| frame.payload().unwrap().is_none()));
    let missing: LogPageJson =
        db.primary_export_log_transport_json(Some("1:9:9:99"), 9, 9, true).unwrap().parse().unwrap();
    assert_eq!(missing.gap.unwrap().reason, "off_history");
    let error = db.primary_export_log_transport_json(Some("bad"), 9, 9, true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InvalidCursor);
    db.close().unwrap();
}

#[test]
fn a_text_that_was_changed_on_its_way_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let db = primary(dir.path(), 3);
    let page = db.primary_export_log_transport_json(None, 9, 1 << 20, true).unwrap();
    for (from, to, said) in [
        ("\"version\":1", "\"version\":2", "version 2"),
        ("\"frame_count\":3", "\"frame_count\":4", "ask for it again"),
        ("\"version\":1,", "", "missing field `version`"),
        ("\"frames\":[", "\"frames\":{", "no replication log transport JSON"),
    ] {
        let error = page.replacen(from, to, 1).parse::<LogPageJson>().unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
        assert!(error.to_string().contains(said), "{error}");
    }
    // What is not known is passed over.
    assert!(page.replacen('{', "{\"later\":[1],", 1).parse::<LogPageJson>().is_ok());
    let mut snapshot: SnapshotJson = db.primary_export_snapshot_transport_json(true).unwrap().parse().unwrap();
    snapshot.byte_length += 1;
    assert_eq!(snapshot.data().unwrap_err().code(), ErrorCode::Corrupt);
    snapshot.data_base64 = Some("?".to_owned());
    assert_eq!(snapshot.data().unwrap_err().code(), ErrorCode::InvalidArgument);
    db.close().unwrap();
}

proptest! {
    /// A piece of a text, or any text at all, is an error and not a panic.
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}", cut in 0usize..200) {
        let whole = r#"{"version":1,"epoch":1,"head_log_index":0,"retained_floor":0,"cursor":null,"next_cursor":null,
            "eof":true,"gap":null,"frame_count":0,"total_bytes":0,"frames":[]}"#;
        prop_assert!(whole.parse::<LogPageJson>().is_ok());
        prop_assert!(whole[..cut.min(whole.len() - 1)].parse::<LogPageJson>().is_err());
        prop_assert!(text.parse::<LogPageJson>().is_err());
        prop_assert!(text.parse::<SnapshotJson>().is_err());
    }
}
