use super::*;
use crate::io::sim::SimHost;
use proptest::prelude::*;

fn table(limit_ms: Option<u64>) -> (SimHost, Arc<ReaderTable>) {
    let host = SimHost::new(1);
    (host.clone(), Arc::new(ReaderTable::new(Arc::new(host), limit_ms)))
}

proptest! {
    /// Against a list of what is held: counts, the oldest index, ages, who is held for too long, and places are used again.
    #[test]
    fn summary_is_what_a_list_says(
        steps in prop::collection::vec((0u8..7, 0u64..50, 0usize..40), 0..300),
        limit in prop::option::of(1u64..60),
    ) {
        let (host, held) = table(limit);
        let mut model: Vec<(u64, ReaderKind, u64, bool, ReaderSlot)> = Vec::new();
        let (mut now, mut most) = (0, 0);
        for (step, index, nth) in steps {
            match step {
                0..=2 => {
                    let holder = [ReaderKind::View, ReaderKind::Transaction, ReaderKind::Engine][step as usize];
                    model.push((index, holder, now, false, held.hold(LogIndex(index), holder, Site::caller())));
                }
                3 if !model.is_empty() => {
                    let (at, holder, since, expired, hold) = &model[nth % model.len()];
                    let (holder, copy) = match index % 2 {
                        0 => (*holder, hold.clone()),
                        _ => (ReaderKind::Cursor, hold.for_cursor(Site::caller())),
                    };
                    let (at, since, expired) = (*at, *since, *expired);
                    model.push((at, holder, since, expired, copy));
                }
                4 => {
                    host.advance_ms(index);
                    now += index;
                }
                5 => {
                    let more = held.sweep();
                    let mut left = false;
                    for (_, holder, since, expired, _) in &mut model {
                        let Some(limit) = limit.filter(|_| *holder != ReaderKind::Engine) else { continue };
                        *expired |= now - *since >= limit;
                        left |= !*expired;
                    }
                    prop_assert_eq!(more, left);
                }
                _ if !model.is_empty() => drop(model.swap_remove(nth % model.len())),
                _ => {}
            }
            most = most.max(model.len());
            let count = |which| model.iter().filter(|(_, holder, ..)| *holder == which).count() as u64;
            prop_assert_eq!(held.summary(), Readers {
                views: count(ReaderKind::View) + count(ReaderKind::Engine) + count(ReaderKind::Cursor),
                transactions: count(ReaderKind::Transaction),
                oldest: model.iter().map(|(index, ..)| LogIndex(*index)).min(),
            });
            prop_assert!(model.iter().all(|(_, _, _, expired, hold)| hold.is_expired() == *expired));
            let mut ages: Vec<_> = model.iter().filter(|(_, holder, ..)| *holder != ReaderKind::Engine).collect();
            ages.sort_by_key(|(_, _, since, ..)| *since);
            let told: Vec<_> = held.oldest(5).iter().map(|held| held.age_ms).collect();
            prop_assert_eq!(told, ages.iter().take(5).map(|(_, _, since, ..)| now - since).collect::<Vec<_>>());
            prop_assert!(held.places.count() <= 2 * most + MORE + 1);
        }
    }
}

/// Every thread finds its own place, also where places are given back by other threads.
#[test]
fn threads_never_share_a_place() {
    let (_, held) = table(None);
    let (send, receive) = std::sync::mpsc::channel::<ReaderSlot>();
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (held, send) = (&held, send.clone());
            scope.spawn(move || {
                for round in 0..2000 {
                    let holds = [0, 1, 2]
                        .map(|n| held.hold(LogIndex(thread * 10_000 + round + n), ReaderKind::View, Site::caller()));
                    for (n, hold) in holds.iter().enumerate() {
                        assert_eq!(hold.slot.index.load(Ordering::Acquire), thread * 10_000 + round + n as u64);
                    }
                    let [first, ..] = holds;
                    let _ = send.send(first);
                }
            });
        }
        drop(send);
        scope.spawn(move || receive.into_iter().for_each(drop));
    });
    assert_eq!(held.summary(), Readers::default());
}

/// Who takes the place of one that was held for too long is not told that he did, however the sweep came in between.
#[test]
fn a_sweep_never_tells_the_next_holder_of_a_place() {
    let (host, held) = table(Some(10));
    let old = held.hold(LogIndex(1), ReaderKind::View, Site::caller());
    let (slot, seen) = (old.slot.clone(), Word(old.slot.word.load(Ordering::Acquire)));
    host.advance_ms(10);
    drop(old);
    let new = held.hold(LogIndex(1), ReaderKind::View, Site::caller());
    assert!(Arc::ptr_eq(&new.slot, &slot), "the same place");
    slot.expire(seen);
    assert!(!new.is_expired());
    assert!(held.sweep() && !new.is_expired());
}

#[test]
fn an_origin_is_a_label_or_the_place_in_the_source() {
    let (_, held) = table(None);
    let mut hold = held.hold(LogIndex(1), ReaderKind::View, Site::caller());
    let origin = || held.oldest(1).pop().unwrap().origin;
    assert!(origin().contains("held") && origin().contains(".rs:"), "{}", origin());
    hold.set_label("nightly".into());
    assert_eq!(origin(), "nightly");
    let copy = hold.clone();
    drop(hold);
    assert_eq!(origin(), "nightly");
    drop(copy);
    let _next = held.hold(LogIndex(1), ReaderKind::View, Site::caller());
    assert_ne!(origin(), "nightly", "a label goes with who gave it");
}

/// The engine is gone, and who holds a view of it goes on, also with copies of it.
#[test]
fn a_place_outlives_its_table() {
    let (_, held) = table(Some(10));
    let hold = held.hold(LogIndex(7), ReaderKind::View, Site::caller());
    drop(held);
    let copy = hold.clone();
    assert!(!hold.is_past_its_limit() && !copy.is_expired());
    drop((hold, copy));
}
