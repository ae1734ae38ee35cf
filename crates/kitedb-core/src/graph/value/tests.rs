use super::*;
use crate::{
    error::{ErrorCode, Result},
    graph::codec::{Reader, put_varint},
};
use proptest::prelude::*;
use std::{cmp::Ordering, collections::hash_map::DefaultHasher, hash::Hasher};

/// A value of any kind, lists and maps among them.
pub(crate) fn any_value() -> impl Strategy<Value = Value> {
    any_scalar().prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::btree_map("[a-c]{0,2}", inner, 0..4).prop_map(Value::Map),
        ]
    })
}

fn any_scalar() -> impl Strategy<Value = Value> {
    let nanos = 0u32..1_000_000_000;
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any_number(),
        ".{0,12}".prop_map(Value::String),
        prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Bytes),
        prop::collection::vec(any_float(), 0..4).prop_map(|floats| floats
            .iter()
            .map(|f| *f as f32)
            .collect::<Vec<_>>()
            .into()),
        any_temporal(),
        (small(), small(), small(), nanos).prop_map(|(m, d, s, n)| Duration::new(m, d, s, n).unwrap().into()),
    ]
}

fn any_temporal() -> impl Strategy<Value = Value> {
    let (days, nanos) = (-365_243_219_162i64..=365_241_780_471, 0u32..1_000_000_000);
    let time = prop_oneof![0u64..86_400_000_000_000, Just(0), Just(43_200_000_000_000)];
    let offset = prop_oneof![-64_800i32..=64_800, Just(0), Just(3600)];
    let seconds = prop_oneof![-10_000_000_000_000_000i64..10_000_000_000_000_000, -9i64..9];
    let zone = prop::option::of("[A-Z][a-z]{2}/[A-Z][a-z]{2}");
    prop_oneof![
        days.prop_map(|days| Date::new(days).unwrap().into()),
        time.clone().prop_map(|nanos| LocalTime::new(nanos).unwrap().into()),
        (time, offset.clone()).prop_map(|(nanos, offset)| Time::new(nanos, offset).unwrap().into()),
        (seconds.clone(), nanos.clone()).prop_map(|(s, n)| LocalDateTime::new(s, n).unwrap().into()),
        (seconds, nanos, offset, zone)
            .prop_map(|(s, n, offset, zone)| DateTime::new(s, n, offset, zone.as_deref()).unwrap().into()),
    ]
}

fn small() -> impl Strategy<Value = i64> {
    prop_oneof![any::<i64>(), -9i64..9, Just(i64::MIN), Just(i64::MAX)]
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        small().prop_map(|n| n as f64),
        (-9i32..9).prop_map(|n| f64::from(n) / 2.0),
        Just(f64::NAN),
        Just(-0.0),
        Just(f64::NEG_INFINITY),
        Just(9_223_372_036_854_775_808.0),
        Just(-9_223_372_036_854_775_808.0),
    ]
}

fn any_number() -> impl Strategy<Value = Value> {
    // Beside 2^53 and 2^63 floats cannot tell integers apart.
    let near = (-3i64..3, prop_oneof![Just(1i64 << 53), Just(i64::MAX), Just(i64::MIN)])
        .prop_map(|(by, n)| Value::I64(n.saturating_add(by)));
    prop_oneof![small().prop_map(Value::I64), near, any_float().prop_map(Value::F64)]
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    value.encode(&mut bytes).unwrap();
    bytes
}

fn decoded(bytes: &[u8]) -> ValueRef<'_> {
    ValueRef::decode(&mut Reader::new(bytes)).unwrap()
}

fn checked(bytes: &[u8]) -> Result<()> {
    ValueRef::check(&mut Reader::new(bytes))
}

fn hashed(value: &Value) -> u64 {
    let mut state = DefaultHasher::new();
    value.total_hash(&mut state);
    state.finish()
}

proptest! {
    #[test]
    fn values_read_back_bit_for_bit(value in any_value()) {
        let bytes = encoded(&value);
        let mut reader = Reader::new(&bytes);
        let back = ValueRef::decode(&mut reader).unwrap().to_value();
        prop_assert!(reader.is_empty());
        prop_assert_eq!(&bytes, &encoded(&back));
        let mut reader = Reader::new(&bytes);
        ValueRef::skip(&mut reader).unwrap();
        prop_assert!(reader.is_empty());
        checked(&bytes).unwrap();
    }

    #[test]
    fn any_bytes_give_a_value_or_an_error(bytes: Vec<u8>) {
        if let Ok(value) = ValueRef::decode(&mut Reader::new(&bytes)) {
            let _ = value.to_value();
        }
    }

    /// What is checked has no second form.
    #[test]
    fn bytes_that_are_checked_are_the_canonical_ones(value in any_value(), at: prop::sample::Index, with: u8) {
        let mut bytes = encoded(&value);
        let at = at.index(bytes.len());
        bytes[at] = with;
        let mut reader = Reader::new(&bytes);
        if ValueRef::check(&mut reader).is_ok() {
            let len = bytes.len() - reader.rest().len();
            prop_assert_eq!(&bytes[..len], encoded(&decoded(&bytes).to_value()));
        }
    }

    #[test]
    fn a_stored_list_or_map_is_read_where_it_lies(items in prop::collection::vec(any_value(), 0..6)) {
        let bytes = encoded(&Value::List(items.clone()));
        let ValueRef::List(list) = decoded(&bytes) else { panic!("not a list") };
        prop_assert_eq!((list.len(), list.is_empty()), (items.len(), items.is_empty()));
        for (at, item) in items.iter().enumerate() {
            prop_assert_eq!(encoded(&list.get(at).unwrap().to_value()), encoded(item));
        }
        prop_assert!(list.get(items.len()).is_none());
        let entries: BTreeMap<_, _> = items.iter().enumerate().map(|(n, v)| (format!("{}", n * 7), v.clone())).collect();
        let bytes = encoded(&Value::Map(entries.clone()));
        let ValueRef::Map(map) = decoded(&bytes) else { panic!("not a map") };
        prop_assert!(map.names().eq(entries.keys().map(String::as_str)));
        for (name, value) in &entries {
            prop_assert_eq!(encoded(&map.get(name).unwrap().to_value()), encoded(value));
        }
        for name in ["", "1", "zzz"] {
            prop_assert!(map.get(name).is_none());
        }
    }

    #[test]
    fn the_order_is_total(a in any_value(), b in any_value(), c in any_value()) {
        let by_order = |a: &Value, b: &Value| a.total_cmp(b);
        prop_assert_eq!(by_order(&a, &a), Ordering::Equal);
        prop_assert_eq!(by_order(&a, &b), by_order(&b, &a).reverse());
        let mut three = [&a, &b, &c];
        three.sort_by(|a, b| a.total_cmp(b));
        prop_assert!(three[0].total_cmp(three[2]).is_le());
        if a.total_eq(&b) {
            prop_assert_eq!(hashed(&a), hashed(&b));
            prop_assert_eq!(a.total_cmp(&c), b.total_cmp(&c));
        }
    }

    #[test]
    fn values_are_ordered_alike_where_they_are_stored(a in any_value(), b in any_value()) {
        let order = a.total_cmp(&b);
        let (x, y) = (encoded(&a), encoded(&b));
        prop_assert_eq!(decoded(&x).total_cmp(decoded(&y)), order);
        prop_assert_eq!(decoded(&x).total_cmp_value(&b), order);
        prop_assert_eq!(decoded(&x).total_eq(decoded(&y)), order.is_eq());
        let mut state = DefaultHasher::new();
        decoded(&x).total_hash(&mut state);
        prop_assert_eq!(state.finish(), hashed(&a));
    }

    /// Numbers as fractions of integers, where nothing is rounded.
    #[test]
    fn numbers_are_ordered_as_the_exact_numbers_that_they_are(a in any_number(), b in any_number()) {
        prop_assert_eq!(a.total_cmp(&b), naive(&a).cmp(&naive(&b)));
        prop_assert_eq!(a.total_eq(&b), naive(&a) == naive(&b));
    }

    #[test]
    fn a_day_is_one_year_month_and_day(days in -365_243_219_162i64..=365_241_780_471) {
        let date = Date::new(days).unwrap();
        let (year, month, day) = date.ymd();
        prop_assert_eq!(Date::from_ymd(year, month, day).unwrap(), date);
        let next = Date::new((days + 1).min(365_241_780_471)).unwrap().ymd();
        prop_assert!(next >= (year, month, day));
    }
}

/// A number that can be compared digit by digit: minus infinity, finite (sign and magnitude), infinity, NaN. The magnitude
/// is in units of 2^-1074, the least float, as bits from the highest.
fn naive(value: &Value) -> (i8, Vec<i8>) {
    const BITS: usize = 2_200;
    let bits = |negative: bool, mantissa: u64, shift: usize| {
        let sign = if negative { -1 } else { 1 };
        let mut all = vec![0i8; BITS];
        for bit in 0..64 {
            if mantissa >> bit & 1 == 1 {
                all[BITS - 1 - bit - shift] = sign;
            }
        }
        (0, all)
    };
    match value {
        Value::I64(n) => bits(*n < 0, n.unsigned_abs(), 1074),
        Value::F64(f) if f.is_nan() => (2, Vec::new()),
        Value::F64(f) if f.is_infinite() => (if *f > 0.0 { 1 } else { -1 }, Vec::new()),
        Value::F64(f) => {
            let (raw, exponent) = (f.to_bits() & ((1 << 52) - 1), f.to_bits() >> 52 & 0x7ff);
            match exponent {
                0 => bits(*f < 0.0, raw, 0),
                e => bits(*f < 0.0, raw | 1 << 52, e as usize - 1),
            }
        }
        _ => unreachable!("not a number"),
    }
}

#[test]
fn kinds_and_values_stand_in_the_order_that_is_documented() {
    let map =
        |entries: &[(&str, Value)]| Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect());
    let duration = |m, d, s| Value::from(Duration::new(m, d, s, 0).unwrap());
    let instant = |s, offset, zone| Value::from(DateTime::new(s, 0, offset, zone).unwrap());
    let time = |hour: u64, offset| Value::from(Time::new(hour * 3_600_000_000_000, offset).unwrap());
    let ascending = [
        map(&[]),
        map(&[("a", 2.into())]),
        map(&[("b", 1.into())]),
        map(&[("a", 1.into()), ("b", 1.into())]),
        map(&[("a", 1.into()), ("b", 2.into())]),
        Value::List(vec![]),
        Value::List(vec!["b".into()]),
        Value::List(vec![1.into()]),
        Value::List(vec![1.into(), 0.into()]),
        Value::List(vec![2.into()]),
        Value::List(vec![Value::Null]),
        Value::Vector(vec![]),
        Value::Vector(vec![1.0, 2.0]),
        Value::Vector(vec![2.0]),
        Value::Vector(vec![f32::NAN]),
        instant(0, 0, None),
        instant(1, -3600, None),
        instant(1, 0, None),
        instant(1, 0, Some("Africa/Abidjan")),
        instant(1, 0, Some("UTC")),
        instant(1, 3600, None),
        LocalDateTime::new(0, 1).unwrap().into(),
        LocalDateTime::new(1, 0).unwrap().into(),
        Date::new(-1).unwrap().into(),
        Date::new(5).unwrap().into(),
        time(1, 3600),
        time(1, 0),
        time(2, 3600),
        time(0, -3 * 3600),
        LocalTime::new(0).unwrap().into(),
        LocalTime::new(1).unwrap().into(),
        duration(0, -1, 0),
        duration(0, 0, 0),
        duration(0, 0, 86_400),
        duration(0, 1, 0),
        duration(0, 30, 0),
        duration(1, 0, 0),
        duration(0, 31, 0),
        Value::Bytes(vec![]),
        Value::Bytes(vec![0, 1]),
        Value::Bytes(vec![255]),
        "".into(),
        "Z".into(),
        "a".into(),
        "ä".into(),
        "\u{ffff}".into(),
        "\u{10000}".into(),
        false.into(),
        true.into(),
        f64::NEG_INFINITY.into(),
        i64::MIN.into(),
        (-0.5).into(),
        0.into(),
        f64::from_bits(1).into(),
        ((1i64 << 53) as f64).into(),
        ((1i64 << 53) + 1).into(),
        i64::MAX.into(),
        9_223_372_036_854_775_808.0.into(),
        f64::INFINITY.into(),
        f64::NAN.into(),
        Value::Null,
    ];
    for (at, value) in ascending.iter().enumerate() {
        for (other_at, other) in ascending.iter().enumerate() {
            assert_eq!(value.total_cmp(other), at.cmp(&other_at), "{value:?} and {other:?}");
        }
    }
    for (a, b) in
        [(Value::I64(1), Value::F64(1.0)), (Value::F64(0.0), Value::F64(-0.0)), (Value::I64(0), Value::F64(-0.0))]
    {
        assert!(a.total_eq(&b), "{a:?} and {b:?}");
    }
    let other_nan = Value::F64(f64::from_bits(0xfff8_0000_0000_0001));
    assert!(other_nan.total_eq(&Value::F64(f64::NAN)));
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::I64(1), |inner, at| match at % 2 {
        0 => Value::List(vec![inner]),
        _ => Value::Map(BTreeMap::from([("k".to_owned(), inner)])),
    })
}

#[test]
fn a_value_that_is_nested_too_deeply_is_refused_where_it_is_written_and_where_it_is_read() {
    let bytes = encoded(&nested(MAX_DEPTH));
    assert_eq!(decoded(&bytes).to_value(), nested(MAX_DEPTH));
    let kids = Value::List(vec![Value::Null, Value::Map(BTreeMap::from([("name".to_owned(), nested(MAX_DEPTH))]))]);
    let mut out = vec![7];
    let error = kids.encode_into(&mut out).unwrap_err().of("kids");
    assert_eq!((error.code(), out), (ErrorCode::InvalidArgument, vec![7]));
    assert!(error.to_string().starts_with("kids[1].name.k[0].k[0]"), "{error}");
    assert!(error.to_string().contains("a depth of more than 32"), "{error}");

    // One level more than may be, around bytes that are sound.
    let mut deeper = vec![1];
    deeper.extend_from_slice(&bytes);
    let mut outer = vec![8];
    put_varint(&mut outer, deeper.len() as u64);
    outer.extend_from_slice(&deeper);
    // And so many that no stack would hold them.
    let mut endless = vec![8, 0];
    for _ in 0..20_000 {
        let mut around = vec![8];
        put_varint(&mut around, endless.len() as u64 + 1);
        around.push(1);
        around.extend_from_slice(&endless);
        endless = around;
        if endless.len() > 60_000 {
            break;
        }
    }
    for bytes in [outer, endless] {
        for result in [checked(&bytes), ValueRef::decode(&mut Reader::new(&bytes)).map(drop)] {
            assert_eq!(result.unwrap_err().code(), ErrorCode::Corrupt);
        }
    }
}

#[test]
fn a_value_that_no_frame_holds_is_refused_before_it_is_copied() {
    let mib = Value::Bytes(vec![7; 1 << 20]);
    let error = Value::List(vec![mib; 64]).encode_into(&mut Vec::new()).unwrap_err().of("blobs");
    assert_eq!(error.code(), ErrorCode::TransactionTooLarge);
    assert!(error.to_string().starts_with("blobs[63]") || error.to_string().starts_with("blobs takes"), "{error}");
    assert!(Value::String("x".repeat(MAX_VALUE_BYTES + 1)).encode(&mut Vec::new()).is_err());
}

#[test]
fn bytes_that_are_not_canonical_are_corrupt() {
    for (bytes, what) in [
        (&[8, 1, 1][..], "more items counted than there are"),
        (&[8, 2, 0, 0], "fewer items counted than there are"),
        (&[8, 2, 1], "cut short"),
        (&[8, 0x82, 0, 1, 0], "a length that is longer than it need be"),
        (&[8, 3, 0x81, 0, 0], "a count that is longer than it need be"),
        (&[9, 7, 2, 1, b'b', 0, 1, b'a', 0], "names that descend"),
        (&[9, 7, 2, 1, b'a', 0, 1, b'a', 0], "a name that stands twice"),
        (&[9, 4, 1, 1, 0xff, 0], "a name that is not UTF-8"),
        (&[8, 4, 1, 5, 1, 0xff], "text in a list that is not UTF-8"),
        (&[5, 1, 0xff], "text that is not UTF-8"),
        (&[3, 0x80, 0], "an integer that is longer than it need be"),
        (&[10, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], "a day beyond the last"),
        (&[11, 0x80, 0x80, 0x9a, 0xa6, 0xea, 0xd2, 0x13], "a time of 24 hours"),
        (&[12, 0, 0xc2, 0xf4, 7], "an offset of more than 18 hours"),
        (&[13, 0, 0x80, 0x94, 0xeb, 0xdc, 3], "a second of 10^9 nanoseconds"),
        (&[14, 0, 0, 0, 1, b'['], "a zone with a bracket"),
        (&[15, 0, 0, 0, 0x80, 0x94, 0xeb, 0xdc, 3], "a duration's second of 10^9 nanoseconds"),
        (&[16], "a tag that nobody knows"),
    ] {
        assert_eq!(checked(bytes).unwrap_err().code(), ErrorCode::Corrupt, "{what}");
    }
}

#[test]
fn temporal_values_outside_their_ranges_are_refused() {
    for refused in [
        Date::new(365_241_780_472).map(drop),
        Date::from_ymd(2023, 2, 29).map(drop),
        Date::from_ymd(1_000_000_000, 1, 1).map(drop),
        Date::from_ymd(2023, 13, 1).map(drop),
        LocalTime::new(86_400_000_000_000).map(drop),
        Time::new(0, 64_801).map(drop),
        LocalDateTime::new(0, 1_000_000_000).map(drop),
        LocalDateTime::new(i64::MAX, 0).map(drop),
        DateTime::new(i64::MIN, 0, 0, None).map(drop),
        DateTime::new(0, 0, 0, Some("")).map(drop),
        DateTime::new(0, 0, 0, Some("a[b]")).map(drop),
        Duration::new(0, 0, 0, 1_000_000_000).map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), ErrorCode::InvalidArgument);
    }
    assert_eq!(Date::from_ymd(2000, 2, 29).unwrap().days(), 11_016);
    assert_eq!(Date::new(-365_243_219_162).unwrap().ymd(), (-999_999_999, 1, 1));
    assert_eq!(Date::new(365_241_780_471).unwrap().ymd(), (999_999_999, 12, 31));
}

#[test]
fn values_stay_as_small_as_text() {
    assert_eq!((size_of::<Value>(), size_of::<ValueRef<'_>>()), (32, 24));
}
