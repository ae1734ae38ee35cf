//! Tokens and cursors: what names a commit, and a place in a log.

use crate::support_replication::{Graph, Machine};
use kitedb_core::{Cursor, Epoch, ErrorCode, LogIndex, SyncMode, Token};
use kitedb_transport::TransportJson;
use proptest::prelude::*;

fn token(epoch: u64, index: u64) -> Token {
    Token::new(Epoch(epoch), LogIndex(index))
}

fn cursor((epoch, segment_id, segment_offset, index): (u64, u64, u64, u64)) -> Cursor {
    Cursor { epoch: Epoch(epoch), segment_id, segment_offset, log_index: LogIndex(index) }
}

/// Small numbers, so that parts are equal now and then, and the greatest.
fn part() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4, any::<u64>(), Just(u64::MAX)]
}

proptest! {
    #[test]
    fn tokens_read_back_and_order_by_epoch_and_then_index(a in (part(), part()), b in (part(), part())) {
        let (x, y) = (token(a.0, a.1), token(b.0, b.1));
        prop_assert_eq!(x.to_string(), format!("{}:{}", a.0, a.1));
        prop_assert_eq!(x.to_string().parse::<Token>().unwrap(), x);
        prop_assert_eq!(format!("000{}:0{}", a.0, a.1).parse::<Token>().unwrap(), x);
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
    }

    #[test]
    fn cursors_read_back_and_order_by_epoch_index_segment_and_offset(
        a in (part(), part(), part(), part()), b in (part(), part(), part(), part()),
    ) {
        let (x, y) = (cursor(a), cursor(b));
        prop_assert_eq!(x.to_string(), format!("{}:{}:{}:{}", a.0, a.1, a.2, a.3));
        prop_assert_eq!(x.to_string().parse::<Cursor>().unwrap(), x);
        prop_assert_eq!(x.cmp(&y), (a.0, a.3, a.1, a.2).cmp(&(b.0, b.3, b.1, b.2)));
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_reason(text in "[0-9: +x-]{0,24}|\\PC{0,12}") {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let parts: Vec<&str> = text.split(':').collect();
        let fits = parts.iter().all(|part| digits(part) && part.parse::<u64>().is_ok());
        match text.parse::<Token>() {
            Ok(_) => prop_assert!(fits && parts.len() == 2, "{text}"),
            Err(e) => prop_assert!(!(fits && parts.len() == 2), "{text}: {e}"),
        }
        match text.parse::<Cursor>() {
            Ok(_) => prop_assert!(fits && parts.len() == 4, "{text}"),
            Err(e) => {
                prop_assert!(!(fits && parts.len() == 4), "{text}: {e}");
                prop_assert_eq!(e.code(), ErrorCode::InvalidCursor);
                prop_assert!(e.to_string().contains("invalid cursor"), "{e}");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_token_or_a_cursor_is_said() {
    const MORE: &str = "18446744073709551616";
    for (bad, phrase) in [
        ("1", "(log_index missing)"),
        ("", "invalid epoch"),
        (":1", "invalid epoch"),
        ("x:1", "invalid epoch"),
        ("1:", "invalid log_index"),
        ("1:-1", "invalid log_index"),
        (" 1:1", "invalid epoch"),
        ("1:1 ", "invalid log_index"),
        ("0x1:1", "invalid epoch"),
        ("1:1:1", "invalid token format"),
        (&format!("{MORE}:1"), "overflow"),
        (&format!("1:{MORE}"), "overflow"),
    ] {
        let error = bad.parse::<Token>().unwrap_err();
        assert!(error.to_string().contains(phrase), "{bad}: {error}");
    }
    for (bad, phrase) in [
        ("1", "(segment_id missing)"),
        ("1:2", "(segment_offset missing)"),
        ("1:2:3", "(log_index missing)"),
        ("bad-cursor", "invalid epoch"),
        ("1:abc:def:ghi", "invalid segment_id"),
        ("1::3:4", "invalid segment_id"),
        ("1:2:+3:4", "invalid segment_offset"),
        ("1:2:3:", "invalid log_index"),
        ("1:2:3:4:5", "invalid cursor format"),
        (&format!("1:{MORE}:3:4"), "overflow"),
        (&format!("1:2:{MORE}:4"), "overflow"),
    ] {
        let error = bad.parse::<Cursor>().unwrap_err();
        assert!(error.to_string().contains(phrase), "{bad}: {error}");
    }
}

#[test]
fn an_export_refuses_a_bad_cursor_and_takes_none_for_the_beginning() {
    let machine = Machine::new("primary", 1, SyncMode::Full);
    let (db, mut graph) = (machine.primary(), Graph::new(1));
    graph.grow(&db, 3);
    for bad in ["bad-cursor", "1:1:512", "1:1:512:1:1", " 1:1:512:1", "1:1:512:1\n", "1:1:512:-1"] {
        let error = db.primary_export_log_transport_json(Some(bad), 1, 1 << 20, true).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidCursor);
        assert!(error.to_string().contains("invalid cursor"), "{error}");
    }
    let from_the_first = db.primary_export_log_transport_json(None, 9, 1 << 20, true).unwrap();
    for blank in ["", " ", "\t\n "] {
        assert_eq!(db.primary_export_log_transport_json(Some(blank), 9, 1 << 20, true).unwrap(), from_the_first);
    }
    // A cursor comes back as it is understood.
    let page = crate::naive::page(&db, "1:0:00:02");
    assert_eq!(page.cursor.as_deref(), Some("1:0:0:2"));
    assert_eq!(page.indexes(), [2, 3]);
}
