//! The circuit breaker as functions of a state, a policy and a time.
//!
//! | state | recognized by | a push that comes |
//! |---|---|---|
//! | closed | nothing of the below | passes |
//! | open | `open_until_ms` > now | is kept back |
//! | half-open, free | probes remain, or 0 < `open_until_ms` ≤ now | passes as a probe |
//! | half-open, busy | a probe is under way and its lease has not run out | is kept back |
//!
//! `threshold` failures in a row open it; a probe that fails opens it again; `probes` probes that succeed, one at a
//! time, close it. A refusal proves that the collector is up, so it counts as a success here.
//!
//! Others write states, too: older versions, processes with other options, hosts with other clocks. [`normalise`]
//! brings whatever stands there into reach, so that from any state some time and some successes lead back to closed.

use super::BreakerState;
use crate::{health::BreakerPhase, options::OtlpAdaptiveRetryMode, retry::Outcome};

/// A probe's lease beyond this is not believed (nor beyond one's own, if that is longer). Ms.
const LONGEST_LEASE_MS: u64 = 10 * 60 * 1000;

/// A generation this far ahead of the clock was not made by one. Ms.
const FAR_MS: u64 = 366 * 24 * 60 * 60 * 1000;

/// A score below this says no more than none.
const NEGLIGIBLE_SCORE: f64 = 0.001;

/// The multiplier that failures lead to adds this much at most.
const MOST_ADDED: u32 = 8;

/// What a breaker does; part of a push's options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// So many failed pushes in a row open it; 0: there is no breaker.
    pub threshold: u32,
    /// For how long it stays open, ms.
    pub open_ms: u64,
    /// So many probes must succeed before it closes.
    pub probes: u32,
    /// After this a probe without a result counts as lost, ms. No push lasts as long.
    pub probe_ms: u64,
    /// What waits grow with; `None`: they do not.
    pub adaptive: Option<OtlpAdaptiveRetryMode>,
    /// The weight of the newest push in the score, 0 to 1.
    pub alpha: f64,
}

impl Policy {
    /// Whether there is anything to keep.
    pub fn is_on(&self) -> bool {
        self.threshold > 0 || self.adaptive.is_some()
    }

    fn probes(&self) -> u32 {
        self.probes.max(1)
    }

    /// Never empty: a lease of 0 means that there is none.
    fn lease_until(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(self.probe_ms.max(1))
    }
}

/// What a push that passed was when it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    generation: u64,
    probe: bool,
}

impl Ticket {
    /// Whether others are kept back until this push is settled.
    pub fn is_probe(&self) -> bool {
        self.probe
    }
}

/// What the gate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Go ahead, and [`settle`] or [`release`] the ticket.
    Pass(Ticket),
    /// Kept back until then, ms since 1970.
    Open {
        /// When the next one may pass.
        until_ms: u64,
    },
    /// Kept back by a probe under way.
    ProbeInFlight,
}

/// Asks whether a push may be sent. A push that is kept back changes nothing but what time has changed already.
pub fn admit(state: &mut BreakerState, policy: &Policy, now_ms: u64) -> Gate {
    if policy.threshold == 0 {
        return Gate::Pass(Ticket { generation: state.generation, probe: false });
    }
    normalise(state, policy, now_ms);
    if state.open_until_ms > now_ms {
        return Gate::Open { until_ms: state.open_until_ms };
    }
    if state.open_until_ms > 0 {
        state.open_until_ms = 0;
        if state.half_open_remaining_probes == 0 {
            state.half_open_remaining_probes = policy.probes();
        }
    }
    if state.half_open_in_flight {
        if state.probe_until_ms > now_ms {
            return Gate::ProbeInFlight;
        }
        // Its prober is gone. Should it still come back, it finds a generation that is not its own.
        give_back_probe(state, policy);
        state.generation = next_generation(state.generation, now_ms);
    }
    let probe = state.half_open_remaining_probes > 0;
    if probe {
        state.half_open_remaining_probes -= 1;
        state.half_open_in_flight = true;
        state.probe_until_ms = policy.lease_until(now_ms);
    }
    Gate::Pass(Ticket { generation: state.generation, probe })
}

/// Records what became of a push. One that passed under another generation has nothing to say any more.
pub fn settle(state: &mut BreakerState, policy: &Policy, ticket: &Ticket, outcome: Outcome, now_ms: u64) {
    if !policy.is_on() {
        return;
    }
    if policy.threshold == 0 {
        return weigh(state, policy, outcome);
    }
    normalise(state, policy, now_ms);
    let half_open = state.open_until_ms == 0 && (state.half_open_in_flight || state.half_open_remaining_probes > 0);
    let due = if ticket.probe {
        half_open && state.half_open_in_flight && ticket.generation == state.generation
    } else {
        // Without a generation it has been closed for longer than any push takes.
        let same = ticket.generation == state.generation || state.generation == 0;
        state.open_until_ms == 0 && !half_open && same
    };
    if !due {
        return;
    }
    weigh(state, policy, outcome);
    match (ticket.probe, outcome) {
        (true, Outcome::Unhealthy) => open(state, policy, now_ms),
        (true, Outcome::Success | Outcome::Refused) => {
            end_probe(state);
            if state.half_open_remaining_probes == 0 {
                state.consecutive_failures = 0;
                state.generation = next_generation(state.generation, now_ms);
            }
        }
        (false, Outcome::Unhealthy) => {
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            if state.consecutive_failures >= policy.threshold {
                open(state, policy, now_ms);
            }
        }
        (false, Outcome::Success | Outcome::Refused) => {
            state.consecutive_failures = 0;
            forget_generation(state, policy, now_ms);
        }
    }
}

/// Gives back a ticket of a push that ended without a result.
pub fn release(state: &mut BreakerState, policy: &Policy, ticket: &Ticket) {
    if policy.threshold > 0
        && ticket.probe
        && state.half_open_in_flight
        && state.open_until_ms == 0
        && ticket.generation == state.generation
    {
        give_back_probe(state, policy);
    }
}

/// By how much waits are longer now: 1 to 9.
pub fn multiplier(state: &BreakerState, policy: &Policy) -> u32 {
    match policy.adaptive {
        None => 1,
        // Older versions write the second one only.
        Some(OtlpAdaptiveRetryMode::Linear) => 1 + state.failure_streak.max(state.consecutive_failures).min(MOST_ADDED),
        Some(OtlpAdaptiveRetryMode::Ewma) => 1 + (f64::from(MOST_ADDED) * unit(state.ewma_error_score)).round() as u32,
    }
}

/// What a push that comes now meets.
pub fn phase(state: &BreakerState, now_ms: u64) -> BreakerPhase {
    if state.open_until_ms > now_ms {
        BreakerPhase::Open
    } else if state.open_until_ms > 0 || state.half_open_remaining_probes > 0 || state.half_open_in_flight {
        BreakerPhase::HalfOpen
    } else {
        BreakerPhase::Closed
    }
}

/// Brings what others wrote into reach. What this module wrote by the same policy and clock stays as it is.
fn normalise(state: &mut BreakerState, policy: &Policy, now_ms: u64) {
    state.ewma_error_score = unit(state.ewma_error_score);
    // Kept as it is bounded here, so that it ends.
    state.open_until_ms = state.open_until_ms.min(now_ms.saturating_add(policy.open_ms));
    if state.open_until_ms > 0 {
        end_probe(state);
    }
    if state.half_open_in_flight {
        if state.probe_until_ms == 0 {
            state.probe_until_ms = policy.lease_until(now_ms);
        }
        let longest = policy.lease_until(now_ms).max(now_ms.saturating_add(LONGEST_LEASE_MS));
        state.probe_until_ms = state.probe_until_ms.min(longest);
        state.half_open_remaining_probes = state.half_open_remaining_probes.min(policy.probes() - 1);
    } else {
        state.probe_until_ms = 0;
        state.half_open_remaining_probes = state.half_open_remaining_probes.min(policy.probes());
    }
}

fn open(state: &mut BreakerState, policy: &Policy, now_ms: u64) {
    end_probe(state);
    state.consecutive_failures = 0;
    state.open_until_ms = now_ms.saturating_add(policy.open_ms.max(1));
    state.half_open_remaining_probes = policy.probes();
    state.generation = next_generation(state.generation, now_ms);
}

fn end_probe(state: &mut BreakerState) {
    state.half_open_in_flight = false;
    state.probe_until_ms = 0;
}

fn give_back_probe(state: &mut BreakerState, policy: &Policy) {
    end_probe(state);
    state.half_open_remaining_probes = state.half_open_remaining_probes.saturating_add(1).min(policy.probes());
}

/// Score and streak: of every push with a breaker or adaptive waits. A refusal is no news of the collector's health.
fn weigh(state: &mut BreakerState, policy: &Policy, outcome: Outcome) {
    let (score, alpha) = (unit(state.ewma_error_score), unit(policy.alpha));
    match outcome {
        Outcome::Unhealthy => {
            state.failure_streak = state.failure_streak.saturating_add(1);
            state.ewma_error_score = unit((1.0 - alpha) * score + alpha);
        }
        Outcome::Success => {
            state.failure_streak = 0;
            // Without a breaker nobody else ends a row that was counted while there was one.
            state.consecutive_failures = 0;
            // A weight of 0 never builds up a score, so one that is there is not its own and would never go.
            let decayed = (1.0 - alpha) * score;
            state.ewma_error_score = if alpha == 0.0 || decayed < NEGLIGIBLE_SCORE { 0.0 } else { decayed };
        }
        Outcome::Refused => state.ewma_error_score = score,
    }
}

/// Generations are times where the clock allows it: so they differ even after an entry was removed and made anew.
fn next_generation(generation: u64, now_ms: u64) -> u64 {
    if generation > now_ms.saturating_add(FAR_MS) { now_ms } else { now_ms.max(generation.saturating_add(1)) }
}

/// A generation older than any push that may be under way tells nothing more: without it a healthy state is one that
/// need not be kept.
fn forget_generation(state: &mut BreakerState, policy: &Policy, now_ms: u64) {
    let generation = state.generation;
    if generation.saturating_add(policy.probe_ms) <= now_ms || generation > now_ms.saturating_add(FAR_MS) {
        state.generation = 0;
    }
}

/// Brings a number into 0 to 1; what is none counts as 0.
fn unit(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests;
