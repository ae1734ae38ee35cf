//! Which work of a pool is due, which comes later, and which is being done: a function of what it is told, with no clock
//! and no thread of its own.

use std::collections::{BTreeSet, HashMap, VecDeque};

/// Names a task of a plan. Never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// A moment: nanoseconds on the pool's clock.
pub type Moment = u64;

/// Kinds of work. Each has threads of its own, so that one does not wait for another, and what a thread is called says what
/// it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Checkpoints.
    Checkpoint,
    /// Merges of runs.
    Compact,
    /// Syncs of logs, and the end of commits that were submitted.
    Sync,
    /// What other processes ask of a log's writer, retention, and looks at who has held a state for too long.
    Keep,
    /// Pulls of followers.
    Follow,
}

impl Lane {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Checkpoint, Self::Compact, Self::Sync, Self::Keep, Self::Follow];

    /// The name of its threads.
    pub fn thread(self) -> &'static str {
        match self {
            Self::Checkpoint => "kitedb-checkpoint",
            Self::Compact => "kitedb-compact",
            Self::Sync => "kitedb-sync",
            Self::Keep => "kitedb-keeper",
            Self::Follow => "kitedb-follower",
        }
    }
}

/// What a task is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nobody asks for it.
    Resting,
    /// It is asked for, and due at that moment.
    Later(Moment),
    /// It waits for a thread.
    Due,
    /// A thread does it. `again`: it was asked for meanwhile, for that moment.
    Running { again: Option<Moment> },
    /// A thread does it for the last time.
    Ending,
}

#[derive(Debug)]
struct Entry {
    lane: Lane,
    phase: Phase,
}

/// See the [module documentation](self).
#[derive(Debug, Default)]
pub struct Plan {
    tasks: HashMap<TaskId, Entry>,
    /// Those that are due later, the soonest first.
    later: BTreeSet<(Moment, TaskId)>,
    /// Those that are due, of each lane, the first one first; and since when.
    due: [VecDeque<(TaskId, Moment)>; Lane::ALL.len()],
    last_id: u64,
}

impl Plan {
    /// A new task, which rests.
    pub fn add(&mut self, lane: Lane) -> TaskId {
        self.last_id += 1;
        let id = TaskId(self.last_id);
        self.tasks.insert(id, Entry { lane, phase: Phase::Resting });
        id
    }

    /// Lets a task be due at `at`, or before if it is to be so already. One that is being done is due again after that.
    /// Returns its lane if it is due now; of a task that was removed nothing is due.
    pub fn ask(&mut self, id: TaskId, at: Moment, now: Moment) -> Option<Lane> {
        let entry = self.tasks.get_mut(&id)?;
        match &mut entry.phase {
            Phase::Running { again } => *again = Some(again.map_or(at, |again| again.min(at))),
            Phase::Later(before) if *before <= at => {}
            Phase::Later(before) => {
                self.later.remove(&(*before, id));
                return self.place(id, at, now);
            }
            Phase::Resting => return self.place(id, at, now),
            // A thread was not to be had for it, perhaps.
            Phase::Due => return Some(entry.lane),
            Phase::Ending => {}
        }
        None
    }

    fn place(&mut self, id: TaskId, at: Moment, now: Moment) -> Option<Lane> {
        let entry = self.tasks.get_mut(&id)?;
        if at > now {
            entry.phase = Phase::Later(at);
            self.later.insert((at, id));
            return None;
        }
        entry.phase = Phase::Due;
        self.due[entry.lane as usize].push_back((id, now));
        Some(entry.lane)
    }

    /// Lets those be due whose moment has come. Returns how many these were.
    pub fn pass(&mut self, now: Moment) -> usize {
        let mut passed = 0;
        while let Some((at, id)) = self.later.first().copied().filter(|(at, _)| *at <= now) {
            self.later.remove(&(at, id));
            self.place(id, at, now);
            passed += 1;
        }
        passed
    }

    /// When the next one is due that is not so yet.
    pub fn next(&self) -> Option<Moment> {
        self.later.first().map(|(at, _)| *at)
    }

    /// How many of a lane wait for a thread.
    pub fn waiting(&self, lane: Lane) -> usize {
        self.due[lane as usize].len()
    }

    /// Since when that one waits before which `ahead` others of its lane wait; `None` if there is none.
    pub fn waits_since(&self, lane: Lane, ahead: usize) -> Option<Moment> {
        self.due[lane as usize].get(ahead).map(|(_, since)| *since)
    }

    /// The task that a thread of a lane does next: that which waits longest.
    pub fn take(&mut self, lane: Lane) -> Option<TaskId> {
        let (id, _) = self.due[lane as usize].pop_front()?;
        if let Some(entry) = self.tasks.get_mut(&id) {
            entry.phase = Phase::Running { again: None };
        }
        Some(id)
    }

    /// A thread has done a task, which is due again at `next`. Returns whether it is gone with that.
    pub fn done(&mut self, id: TaskId, next: Option<Moment>, now: Moment) -> bool {
        let Some(entry) = self.tasks.get_mut(&id) else { return true };
        match entry.phase {
            Phase::Running { again } => {
                entry.phase = Phase::Resting;
                if let Some(at) = [again, next].into_iter().flatten().min() {
                    self.place(id, at, now);
                }
                false
            }
            _ => {
                self.tasks.remove(&id);
                true
            }
        }
    }

    /// Nothing of a task is begun any more. Returns whether it is gone; if not, it is once a thread has done it.
    pub fn remove(&mut self, id: TaskId) -> bool {
        let Some(entry) = self.tasks.get_mut(&id) else { return true };
        match entry.phase {
            Phase::Running { .. } | Phase::Ending => {
                entry.phase = Phase::Ending;
                return false;
            }
            Phase::Later(at) => {
                self.later.remove(&(at, id));
            }
            Phase::Due => self.due[entry.lane as usize].retain(|(due, _)| *due != id),
            Phase::Resting => {}
        }
        self.tasks.remove(&id);
        true
    }

    #[cfg(test)]
    pub fn is_ending(&self, id: TaskId) -> bool {
        self.tasks.get(&id).is_some_and(|entry| entry.phase == Phase::Ending)
    }

    /// Whether a task is there still.
    pub fn has(&self, id: TaskId) -> bool {
        self.tasks.contains_key(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const LANE: Lane = Lane::Sync;

    #[derive(Debug, Clone)]
    enum Step {
        Add,
        Ask(usize, u64),
        Pass(u64),
        Take,
        Done(usize, Option<u64>),
        Remove(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            Just(Step::Add),
            (0..6usize, 0..40u64).prop_map(|(task, after)| Step::Ask(task, after)),
            (0..30u64).prop_map(Step::Pass),
            Just(Step::Take),
            (0..6usize, proptest::option::of(0..40u64)).prop_map(|(task, next)| Step::Done(task, next)),
            (0..6usize).prop_map(Step::Remove),
        ];
        proptest::collection::vec(step, 1..80)
    }

    /// A task as one would keep it who has time: when it is due, whether a thread does it, and whether it ends with that.
    #[derive(Debug, Default, Clone)]
    struct Naive {
        at: Option<Moment>,
        running: bool,
        ending: bool,
    }

    proptest! {
        /// What is asked for is due at the earliest moment that it was asked for, once; nothing runs twice at a time; what is
        /// removed is never begun again.
        #[test]
        fn a_plan_does_what_a_list_of_wishes_says(steps in steps()) {
            let (mut plan, mut naive, mut ids, mut now) = (Plan::default(), BTreeMap::new(), Vec::new(), 0);
            for step in steps {
                match step {
                    Step::Add => {
                        let id = plan.add(LANE);
                        prop_assert!(naive.insert(id, Naive::default()).is_none());
                        ids.push(id);
                    }
                    Step::Ask(task, after) if !ids.is_empty() => {
                        let id = ids[task % ids.len()];
                        plan.ask(id, now + after, now);
                        if let Some(of) = naive.get_mut(&id).filter(|of| !of.ending) {
                            of.at = Some(of.at.map_or(now + after, |at| at.min(now + after)));
                        }
                    }
                    Step::Pass(by) => {
                        now += by;
                        plan.pass(now);
                    }
                    Step::Take => {
                        plan.pass(now);
                        let due = |of: &Naive| !of.running && of.at.is_some_and(|at| at <= now);
                        let expected = naive.values().filter(|of| due(of)).count();
                        prop_assert_eq!(plan.waiting(LANE), expected);
                        match plan.take(LANE) {
                            None => prop_assert_eq!(expected, 0),
                            Some(id) => {
                                let of = naive.get_mut(&id).unwrap();
                                prop_assert!(due(of), "{of:?} was taken at {now}");
                                (of.at, of.running) = (None, true);
                            }
                        }
                    }
                    Step::Done(task, next) => {
                        let running: Vec<_> = naive.iter().filter(|(_, of)| of.running).map(|(id, _)| *id).collect();
                        let Some(id) = running.get(task % running.len().max(1)).copied() else { continue };
                        let next = next.map(|after| now + after);
                        let gone = plan.done(id, next, now);
                        let of = naive.get_mut(&id).unwrap();
                        prop_assert_eq!(gone, of.ending);
                        of.running = false;
                        of.at = [of.at, next].into_iter().flatten().min();
                        if gone {
                            naive.remove(&id);
                        }
                    }
                    Step::Remove(task) if !ids.is_empty() => {
                        let id = ids[task % ids.len()];
                        let running = naive.get(&id).is_some_and(|of| of.running);
                        prop_assert_eq!(plan.remove(id), !running);
                        match running {
                            true => naive.get_mut(&id).unwrap().ending = true,
                            false => drop(naive.remove(&id)),
                        }
                    }
                    _ => {}
                }
                prop_assert!(ids.iter().all(|id| plan.has(*id) == naive.contains_key(id)));
                let later = naive.values().filter(|of| !of.running && !of.ending).filter_map(|of| of.at);
                let next = later.filter(|at| *at > now).min();
                prop_assert!(plan.next().is_none_or(|at| at <= now || Some(at) == next), "{:?} {next:?}", plan.next());
                prop_assert!(next.is_none_or(|next| plan.next().is_some_and(|at| at <= next)));
            }
        }
    }

    #[test]
    fn who_waits_longest_comes_first() {
        let mut plan = Plan::default();
        let ids: Vec<_> = (0..3).map(|_| plan.add(LANE)).collect();
        for (id, at) in [(ids[1], 5), (ids[0], 7), (ids[2], 6)] {
            plan.ask(id, at, 0);
        }
        assert_eq!((plan.pass(4), plan.next()), (0, Some(5)));
        assert_eq!(plan.pass(9), 3);
        assert_eq!(plan.waits_since(LANE, 2), Some(9));
        let taken: Vec<_> = std::iter::from_fn(|| plan.take(LANE)).collect();
        assert_eq!(taken, [ids[1], ids[2], ids[0]]);
    }
}
