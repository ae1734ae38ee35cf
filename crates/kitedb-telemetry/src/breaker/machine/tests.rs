//! The contract's table row by row, and properties against a model that is as plain as can be.

use super::*;
use proptest::prelude::*;

const NOW: u64 = 1_700_000_000_000;
const FAIL: Outcome = Outcome::Unhealthy;
const OK: Outcome = Outcome::Success;

fn policy(threshold: u32, probes: u32) -> Policy {
    Policy { threshold, open_ms: 1000, probes, probe_ms: 300, adaptive: None, alpha: 0.5 }
}

fn adaptive(threshold: u32, mode: OtlpAdaptiveRetryMode) -> Policy {
    Policy { adaptive: Some(mode), ..policy(threshold, 1) }
}

fn pass(state: &mut BreakerState, policy: &Policy, now_ms: u64) -> Ticket {
    match admit(state, policy, now_ms) {
        Gate::Pass(ticket) => ticket,
        gate => panic!("{gate:?}"),
    }
}

/// A push that is begun and ends at once.
fn push(state: &mut BreakerState, policy: &Policy, outcome: Outcome, now_ms: u64) {
    let ticket = pass(state, policy, now_ms);
    settle(state, policy, &ticket, outcome, now_ms);
}

fn opened(policy: &Policy) -> BreakerState {
    let mut state = BreakerState::default();
    for _ in 0..policy.threshold {
        push(&mut state, policy, FAIL, NOW);
    }
    assert_eq!(phase(&state, NOW), BreakerPhase::Open);
    state
}

#[test]
fn closed_it_lets_pushes_through_and_counts_failures_in_a_row() {
    let policy = policy(3, 2);
    let mut state = BreakerState::default();
    assert!(!pass(&mut state, &policy, NOW).is_probe());
    assert_eq!(state, BreakerState::default());
    for (outcome, failures) in [(FAIL, 1), (FAIL, 2), (OK, 0), (FAIL, 1), (FAIL, 2), (Outcome::Refused, 0)] {
        push(&mut state, &policy, outcome, NOW);
        assert_eq!((state.consecutive_failures, phase(&state, NOW)), (failures, BreakerPhase::Closed));
    }
}

#[test]
fn at_the_threshold_it_opens() {
    let state = opened(&policy(3, 2));
    let expected = BreakerState {
        open_until_ms: NOW + 1000,
        half_open_remaining_probes: 2,
        failure_streak: 3,
        generation: NOW,
        ewma_error_score: 0.875,
        ..BreakerState::default()
    };
    assert_eq!(state, expected);
}

#[test]
fn open_it_keeps_pushes_back_and_is_not_changed_by_them() {
    let policy = policy(1, 1);
    let mut state = opened(&policy);
    let before = state.clone();
    for now_ms in [NOW, NOW + 1, NOW + 999] {
        assert_eq!(admit(&mut state, &policy, now_ms), Gate::Open { until_ms: NOW + 1000 });
        assert_eq!(state, before);
    }
}

#[test]
fn after_its_time_it_lets_one_push_at_a_time_through_until_enough_succeeded() {
    let policy = policy(1, 3);
    let mut state = opened(&policy);
    let mut now_ms = NOW + 1000;
    for left in [2, 1, 0] {
        assert_eq!(phase(&state, now_ms), BreakerPhase::HalfOpen);
        let probe = pass(&mut state, &policy, now_ms);
        assert!(probe.is_probe());
        assert_eq!((state.open_until_ms, state.half_open_remaining_probes, state.half_open_in_flight), (0, left, true));
        let before = state.clone();
        now_ms += 299;
        assert_eq!(admit(&mut state, &policy, now_ms), Gate::ProbeInFlight);
        assert_eq!(state, before, "a push that is kept back changes nothing");
        settle(&mut state, &policy, &probe, if left == 1 { Outcome::Refused } else { OK }, now_ms);
    }
    assert_eq!(phase(&state, now_ms), BreakerPhase::Closed);
    assert!(!pass(&mut state, &policy, now_ms).is_probe());
}

#[test]
fn a_probe_that_fails_opens_it_again() {
    let policy = policy(2, 2);
    let mut state = opened(&policy);
    push(&mut state, &policy, OK, NOW + 1000);
    push(&mut state, &policy, FAIL, NOW + 1100);
    assert_eq!(admit(&mut state, &policy, NOW + 2099), Gate::Open { until_ms: NOW + 2100 });
    assert_eq!((state.half_open_remaining_probes, state.half_open_in_flight), (2, false));
}

#[test]
fn a_probe_without_a_result_is_given_back() {
    let policy = policy(1, 1);
    let mut state = opened(&policy);
    let probe = pass(&mut state, &policy, NOW + 1000);
    release(&mut state, &policy, &probe);
    assert_eq!((state.half_open_remaining_probes, state.half_open_in_flight, state.probe_until_ms), (1, false, 0));
    assert!(pass(&mut state, &policy, NOW + 1000).is_probe());
}

#[test]
fn a_probe_whose_prober_died_is_given_to_another_and_its_late_result_is_nobodys() {
    let policy = policy(1, 1);
    let mut state = opened(&policy);
    let lost = pass(&mut state, &policy, NOW + 1000);
    assert_eq!(admit(&mut state, &policy, NOW + 1299), Gate::ProbeInFlight);
    let probe = pass(&mut state, &policy, NOW + 1300);
    let before = state.clone();
    for outcome in [FAIL, OK, Outcome::Refused] {
        settle(&mut state, &policy, &lost, outcome, NOW + 1301);
        assert_eq!(state, before);
    }
    release(&mut state, &policy, &lost);
    assert_eq!(state, before);
    settle(&mut state, &policy, &probe, OK, NOW + 1302);
    assert_eq!(phase(&state, NOW + 1302), BreakerPhase::Closed);
}

#[test]
fn a_probe_that_is_late_but_was_not_replaced_counts() {
    let policy = policy(1, 1);
    let mut state = opened(&policy);
    let probe = pass(&mut state, &policy, NOW + 1000);
    settle(&mut state, &policy, &probe, OK, NOW + 9000);
    assert_eq!(phase(&state, NOW + 9000), BreakerPhase::Closed);
}

#[test]
fn a_late_result_of_an_older_push_moves_nothing() {
    let policy = policy(1, 2);
    let mut state = BreakerState::default();
    let old = pass(&mut state, &policy, NOW);
    push(&mut state, &policy, FAIL, NOW);
    // Open, half-open and free, half-open and busy, closed again, closed and counting.
    let mut states = vec![(state.clone(), NOW + 1)];
    push(&mut state, &policy, OK, NOW + 1000);
    states.push((state.clone(), NOW + 1001));
    let probe = pass(&mut state, &policy, NOW + 1002);
    states.push((state.clone(), NOW + 1003));
    settle(&mut state, &policy, &probe, OK, NOW + 1004);
    states.push((state.clone(), NOW + 1005));
    push(&mut state, &policy, OK, NOW + 1006);
    states.push((state, NOW + 1007));
    for (state, now_ms) in states {
        for outcome in [OK, FAIL, Outcome::Refused] {
            let mut after = state.clone();
            settle(&mut after, &policy, &old, outcome, now_ms);
            assert_eq!(after, state);
            release(&mut after, &policy, &old);
            assert_eq!(after, state);
        }
    }
}

#[test]
fn a_breaker_that_was_healthy_for_a_while_need_not_be_kept() {
    let policy = Policy { alpha: 1.0, ..policy(1, 1) };
    let mut state = opened(&policy);
    push(&mut state, &policy, OK, NOW + 1000);
    assert_eq!(state, BreakerState { generation: NOW + 1000, ..BreakerState::default() });
    // Pushes that began before may still be under way.
    push(&mut state, &policy, OK, NOW + 1299);
    assert_ne!(state, BreakerState::default());
    push(&mut state, &policy, OK, NOW + 1300);
    assert_eq!(state, BreakerState::default());
}

#[test]
fn without_a_breaker_nothing_is_kept_back_and_nothing_of_a_breaker_is_touched() {
    let (with, without) = (policy(1, 2), adaptive(0, OtlpAdaptiveRetryMode::Linear));
    let mut state = opened(&with);
    let expected = state.clone();
    let ticket = pass(&mut state, &without, NOW + 1);
    assert!(!ticket.is_probe());
    settle(&mut state, &without, &ticket, FAIL, NOW + 2);
    assert_eq!(state.failure_streak, 2);
    assert_eq!(state, BreakerState { failure_streak: 2, ewma_error_score: state.ewma_error_score, ..expected });
    // Neither a breaker nor adaptive waits: nothing at all.
    let mut state = BreakerState::default();
    push(&mut state, &policy(0, 1), FAIL, NOW);
    assert_eq!(state, BreakerState::default());
}

#[test]
fn linear_waits_grow_with_the_streak_with_and_without_a_breaker() {
    for threshold in [0, 1, 3] {
        let policy = adaptive(threshold, OtlpAdaptiveRetryMode::Linear);
        let mut state = BreakerState::default();
        for failed in 0..12 {
            assert_eq!(multiplier(&state, &policy), 1 + failed.min(8), "threshold {threshold}");
            push(&mut state, &policy, FAIL, NOW + u64::from(failed) * 1000);
        }
        push(&mut state, &policy, Outcome::Refused, NOW + 12_000);
        assert_eq!(multiplier(&state, &policy), 9, "a refusal says nothing of the collector's health");
        push(&mut state, &policy, OK, NOW + 13_000);
        assert_eq!(multiplier(&state, &policy), 1);
    }
}

#[test]
fn a_streak_that_an_older_version_counted_counts() {
    let policy = adaptive(9, OtlpAdaptiveRetryMode::Linear);
    let state = BreakerState { consecutive_failures: 4, ..BreakerState::default() };
    assert_eq!(multiplier(&state, &policy), 5);
}

#[test]
fn ewma_waits_grow_with_the_score() {
    let policy = adaptive(0, OtlpAdaptiveRetryMode::Ewma);
    let mut state = BreakerState::default();
    let table = [(FAIL, 0.5, 5), (FAIL, 0.75, 7), (OK, 0.375, 4), (Outcome::Refused, 0.375, 4), (FAIL, 0.6875, 7)];
    for (outcome, score, times) in table {
        push(&mut state, &policy, outcome, NOW);
        assert_eq!((state.ewma_error_score, multiplier(&state, &policy)), (score, times));
    }
    for _ in 0..12 {
        push(&mut state, &policy, OK, NOW);
    }
    assert_eq!(state, BreakerState::default(), "a score that is practically 0 need not be kept");
    for (score, times) in [(f64::NAN, 1), (-1.0, 1), (0.06, 1), (0.0625, 2), (1.0, 9), (f64::INFINITY, 9)] {
        let state = BreakerState { ewma_error_score: score, ..BreakerState::default() };
        assert_eq!(multiplier(&state, &policy), times, "{score}");
    }
}

#[test]
fn a_weight_of_nothing_builds_no_score_and_lets_none_stand() {
    let policy = Policy { alpha: 0.0, ..adaptive(0, OtlpAdaptiveRetryMode::Ewma) };
    let mut state = BreakerState { ewma_error_score: 0.9, ..BreakerState::default() };
    push(&mut state, &policy, OK, NOW);
    push(&mut state, &policy, FAIL, NOW);
    assert_eq!(multiplier(&state, &policy), 1);
}

#[test]
fn the_score_is_kept_when_nobody_here_waits_by_it() {
    let policy = policy(9, 1);
    let mut state = BreakerState { ewma_error_score: 0.8, ..BreakerState::default() };
    push(&mut state, &policy, OK, NOW);
    assert_eq!(state.ewma_error_score, 0.4);
    assert_eq!(multiplier(&state, &policy), 1);
}

#[test]
fn what_others_wrote_is_brought_into_reach() {
    let policy = policy(3, 2);
    let base = BreakerState::default;
    // What stands there, what the gate makes of it.
    let table = [
        ("open for ever", BreakerState { open_until_ms: u64::MAX, ..base() }, Gate::Open { until_ms: NOW + 1000 }),
        ("a probe without a lease", BreakerState { half_open_in_flight: true, ..base() }, Gate::ProbeInFlight),
        (
            "a lease for ever",
            BreakerState { half_open_in_flight: true, probe_until_ms: u64::MAX, ..base() },
            Gate::ProbeInFlight,
        ),
        (
            "open with a probe under way",
            BreakerState { open_until_ms: NOW + 5, half_open_in_flight: true, ..base() },
            Gate::Open { until_ms: NOW + 5 },
        ),
    ];
    for (name, mut state, gate) in table {
        assert_eq!(admit(&mut state, &policy, NOW), gate, "{name}");
        let before = state.clone();
        assert_eq!(admit(&mut state, &policy, NOW), gate, "{name}");
        assert_eq!(state, before, "{name}: once is enough");
        assert!(pass(&mut state, &policy, NOW + LONGEST_LEASE_MS).is_probe() || name.contains("without"), "{name}");
    }
    let mut state = BreakerState { half_open_remaining_probes: 900, ewma_error_score: f64::NAN, ..base() };
    assert!(pass(&mut state, &policy, NOW).is_probe());
    assert_eq!((state.half_open_remaining_probes, state.ewma_error_score), (1, 0.0));
    let mut state = BreakerState { consecutive_failures: u32::MAX, failure_streak: u32::MAX, ..base() };
    push(&mut state, &policy, FAIL, NOW);
    assert_eq!(phase(&state, NOW), BreakerPhase::Open);
}

#[test]
fn a_longer_lease_of_a_patient_prober_is_respected() {
    let (hasty, patient) = (policy(1, 1), Policy { probe_ms: 60_000, ..policy(1, 1) });
    let mut state = opened(&hasty);
    let probe = pass(&mut state, &patient, NOW + 1000);
    assert_eq!(admit(&mut state, &hasty, NOW + 50_000), Gate::ProbeInFlight);
    settle(&mut state, &patient, &probe, OK, NOW + 50_000);
    assert_eq!(phase(&state, NOW + 50_000), BreakerPhase::Closed);
}

#[test]
fn a_clock_that_was_set_back_does_not_keep_it_open_longer() {
    let policy = policy(1, 1);
    let mut state = opened(&policy);
    assert_eq!(admit(&mut state, &policy, 5000), Gate::Open { until_ms: 6000 });
    assert!(pass(&mut state, &policy, 6000).is_probe());
    assert_eq!(admit(&mut state, &policy, 10), Gate::ProbeInFlight);
    assert!(pass(&mut state, &policy, 10 + LONGEST_LEASE_MS).is_probe());
}

#[test]
fn generations_differ_even_where_the_clock_does_not_move() {
    for (generation, now_ms) in [(0, NOW), (NOW, NOW), (NOW + 7, NOW), (u64::MAX, NOW), (u64::MAX, 0), (0, 0)] {
        assert_ne!(next_generation(generation, now_ms), generation);
    }
}

/// The breaker as one would explain it.
#[derive(Debug)]
enum Model {
    Closed {
        failures: u32,
    },
    Open {
        until: u64,
    },
    /// `probe`: number and end of lease of the one under way.
    HalfOpen {
        succeeded: u32,
        probe: Option<(usize, u64)>,
    },
}

/// A push of the model: its number is its place in the list.
#[derive(Debug)]
struct Begun {
    ticket: Ticket,
    /// How often the model had opened or closed.
    era: u32,
    /// No push but a probe takes longer than until then: its end is not seen.
    until: u64,
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Begin,
    End(prop::sample::Index, Outcome),
    GiveUp(prop::sample::Index),
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![3 => Just(FAIL), 3 => Just(OK), 1 => Just(Outcome::Refused)]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => prop_oneof![0..5u64, 0..400u64, Just(300), Just(1000)].prop_map(Step::Wait),
        4 => Just(Step::Begin),
        4 => (any::<prop::sample::Index>(), outcomes()).prop_map(|(push, outcome)| Step::End(push, outcome)),
        1 => any::<prop::sample::Index>().prop_map(Step::GiveUp),
    ];
    prop::collection::vec(step, 0..120)
}

fn states() -> impl Strategy<Value = BreakerState> {
    let time = || prop_oneof![Just(0), NOW - 2000..NOW + 2000, any::<u64>()];
    let count = || prop_oneof![0..6u32, any::<u32>()];
    let score = prop_oneof![0.0..=1.0, Just(f64::NAN), any::<f64>()];
    (count(), time(), count(), any::<bool>(), score, count(), time(), time()).prop_map(
        |(failures, open, probes, busy, score, streak, generation, lease)| BreakerState {
            consecutive_failures: failures,
            open_until_ms: open,
            half_open_remaining_probes: probes,
            half_open_in_flight: busy,
            ewma_error_score: score,
            failure_streak: streak,
            generation,
            probe_until_ms: lease,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Any number of processes on one state: a push is a ticket, whoever holds it.
    #[test]
    fn it_is_what_one_would_explain(
        threshold in 1u32..4, probes in 1u32..4, open_ms in prop_oneof![Just(20), Just(1000)], steps in steps(),
    ) {
        let policy = Policy { open_ms, ..policy(threshold, probes) };
        let (mut state, mut model, mut era, mut now) = (BreakerState::default(), Model::Closed { failures: 0 }, 0, NOW);
        let mut pushes: Vec<Option<Begun>> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now += ms,
                Step::Begin => {
                    if let Model::Open { until } = model && until <= now {
                        model = Model::HalfOpen { succeeded: 0, probe: None };
                    }
                    if let Model::HalfOpen { probe, .. } = &mut model && probe.is_some_and(|(_, lease)| lease <= now) {
                        *probe = None;
                    }
                    let expected = match &mut model {
                        Model::Closed { .. } => "pass",
                        Model::Open { .. } => "open",
                        Model::HalfOpen { probe: Some(_), .. } => "busy",
                        Model::HalfOpen { probe, .. } => {
                            *probe = Some((pushes.len(), now + policy.probe_ms));
                            "probe"
                        }
                    };
                    let got = match admit(&mut state, &policy, now) {
                        Gate::Pass(ticket) => {
                            pushes.push(Some(Begun { ticket, era, until: now + policy.probe_ms }));
                            if ticket.is_probe() { "probe" } else { "pass" }
                        }
                        Gate::Open { .. } => "open",
                        Gate::ProbeInFlight => "busy",
                    };
                    prop_assert_eq!(got, expected);
                }
                Step::End(..) | Step::GiveUp(_) if pushes.is_empty() => {}
                Step::End(push, outcome) => {
                    let push = push.index(pushes.len());
                    let Some(begun) = pushes[push].take() else { continue };
                    if !begun.ticket.is_probe() && begun.until <= now {
                        continue;
                    }
                    settle(&mut state, &policy, &begun.ticket, outcome, now);
                    let fell = match &mut model {
                        Model::Closed { failures } if begun.era == era => {
                            *failures = if outcome == FAIL { *failures + 1 } else { 0 };
                            *failures >= threshold
                        }
                        Model::HalfOpen { succeeded, probe } if probe.is_some_and(|(number, _)| number == push) => {
                            *probe = None;
                            *succeeded += 1;
                            outcome == FAIL
                        }
                        _ => continue,
                    };
                    if fell {
                        (model, era) = (Model::Open { until: now + policy.open_ms }, era + 1);
                    } else if matches!(model, Model::HalfOpen { succeeded, .. } if succeeded == probes) {
                        (model, era) = (Model::Closed { failures: 0 }, era + 1);
                    }
                }
                Step::GiveUp(push) => {
                    let push = push.index(pushes.len());
                    let Some(begun) = pushes[push].take() else { continue };
                    release(&mut state, &policy, &begun.ticket);
                    if let Model::HalfOpen { probe, .. } = &mut model && probe.is_some_and(|(number, _)| number == push) {
                        *probe = None;
                    }
                }
            }
            let expected = match model {
                Model::Closed { .. } => BreakerPhase::Closed,
                Model::Open { until } if until > now => BreakerPhase::Open,
                _ => BreakerPhase::HalfOpen,
            };
            prop_assert_eq!(phase(&state, now), expected);
            prop_assert!((0.0..=1.0).contains(&state.ewma_error_score));
        }
    }

    #[test]
    fn from_any_state_time_and_successes_lead_back_to_closed(
        mut state in states(), threshold in 1u32..4, probes in 1u32..4, now in prop_oneof![Just(NOW), any::<u64>()],
    ) {
        let policy = policy(threshold, probes);
        let mut now = now.min(u64::MAX / 2);
        for _ in 0..probes + 2 {
            match admit(&mut state, &policy, now) {
                Gate::Pass(ticket) => settle(&mut state, &policy, &ticket, OK, now),
                Gate::Open { .. } => now += policy.open_ms,
                Gate::ProbeInFlight => now += LONGEST_LEASE_MS,
            }
        }
        prop_assert_eq!(phase(&state, now), BreakerPhase::Closed);
        prop_assert!(!pass(&mut state, &policy, now).is_probe());
        // And then to nothing that would have to be kept.
        now += policy.probe_ms;
        for _ in 0..20 {
            push(&mut state, &policy, OK, now);
        }
        prop_assert!(state == BreakerState::default() || state.generation + policy.probe_ms > now, "{:?}", state);
    }

    #[test]
    fn a_push_that_is_kept_back_changes_nothing_but_what_was_out_of_reach(
        mut state in states(), threshold in 1u32..4, probes in 1u32..4, later in 0u64..200,
    ) {
        let policy = policy(threshold, probes);
        let first = admit(&mut state, &policy, NOW);
        prop_assert!(state.half_open_remaining_probes + u32::from(state.half_open_in_flight) <= probes);
        prop_assert!(state.open_until_ms <= NOW + policy.open_ms);
        if !matches!(first, Gate::Pass(_)) {
            let before = state.clone();
            if !matches!(admit(&mut state, &policy, NOW + later), Gate::Pass(_)) {
                prop_assert_eq!(state, before);
            }
        }
    }

    /// An older version's process among us knows nothing of leases and generations and writes them away.
    #[test]
    fn an_older_version_among_us_does_not_block_us_for_ever(
        steps in steps(), forgotten in prop::collection::vec(any::<bool>(), 120), probes in 1u32..4,
    ) {
        let policy = policy(1, probes);
        let (mut state, mut now, mut pushes) = (BreakerState::default(), NOW, Vec::new());
        for (step, forgotten) in steps.into_iter().zip(forgotten) {
            match step {
                Step::Wait(ms) => now += ms,
                Step::Begin => pushes.extend(match admit(&mut state, &policy, now) {
                    Gate::Pass(ticket) => Some(ticket),
                    _ => None,
                }),
                Step::End(..) | Step::GiveUp(_) if pushes.is_empty() => {}
                Step::End(push, outcome) => {
                    let ticket = pushes.swap_remove(push.index(pushes.len()));
                    settle(&mut state, &policy, &ticket, outcome, now);
                }
                Step::GiveUp(push) => {
                    let ticket = pushes.swap_remove(push.index(pushes.len()));
                    release(&mut state, &policy, &ticket);
                }
            }
            if forgotten {
                state = BreakerState { failure_streak: 0, generation: 0, probe_until_ms: 0, ..state };
            }
        }
        for _ in 0..probes + 2 {
            now += LONGEST_LEASE_MS;
            if let Gate::Pass(ticket) = admit(&mut state, &policy, now) {
                settle(&mut state, &policy, &ticket, OK, now);
            }
        }
        prop_assert_eq!(phase(&state, now), BreakerPhase::Closed);
    }
}
