use super::*;
use crate::{io::SharedWords, lock::Mutex};
use std::sync::{
    OnceLock, Weak,
    atomic::{AtomicBool, AtomicUsize, Ordering},
    mpsc::{self, Receiver, Sender},
};

const LONG: Duration = Duration::from_secs(60);

/// A pool that no other test uses.
fn pool() -> Arc<Pool> {
    Arc::new(Pool::new())
}

/// Work that says that it began, and ends when it is let go on.
struct Gate {
    began: Receiver<()>,
    go_on: Sender<()>,
}

fn gated(pool: &Arc<Pool>, lane: Lane) -> (Gate, Task) {
    let (begins, began) = mpsc::channel();
    let (go_on, goes_on) = mpsc::channel::<()>();
    let goes_on = Mutex::new(goes_on);
    let task = Task::new_in(pool.clone(), lane, move || {
        let _ = begins.send(());
        let _ = goes_on.lock().recv();
        Next::Asked
    });
    (Gate { began, go_on }, task)
}

/// Work that counts how often it was done, and says so.
fn counted(pool: &Arc<Pool>, lane: Lane, next: Next) -> (Receiver<usize>, Task) {
    let (done, heard) = mpsc::channel();
    let count = AtomicUsize::new(0);
    let task = Task::new_in(pool.clone(), lane, move || {
        let _ = done.send(count.fetch_add(1, Ordering::SeqCst) + 1);
        next.clone()
    });
    (heard, task)
}

/// Until nothing is done, and the threads that are not to stay are gone.
fn until_idle(pool: &Pool) -> usize {
    loop {
        let state = pool.state.lock();
        let threads = state.threads;
        let settled = |lane: Lane| threads[lane as usize].idle == threads[lane as usize].all;
        if state.runners.is_empty() && Lane::ALL.into_iter().all(settled) {
            return threads.iter().map(|threads| threads.all).sum();
        }
        drop(state);
        thread::yield_now();
    }
}

#[test]
fn work_that_never_ends_keeps_no_other_waiting() {
    let pool = pool();
    let gates: Vec<_> = (0..20).map(|_| gated(&pool, Lane::Checkpoint)).collect();
    for (_, task) in &gates {
        task.ask(Duration::ZERO).unwrap();
    }
    // Each has begun though none has ended.
    gates.iter().for_each(|(gate, _)| gate.began.recv_timeout(LONG).unwrap());
    for lane in Lane::ALL {
        let (heard, task) = counted(&pool, lane, Next::Asked);
        task.ask(Duration::ZERO).unwrap();
        assert_eq!(heard.recv_timeout(LONG), Ok(1), "{lane:?}");
    }
    gates.iter().for_each(|(gate, _)| gate.go_on.send(()).unwrap());
    drop(gates);
    let left = until_idle(&pool);
    let first: usize = Lane::ALL.into_iter().map(first_threads).sum();
    assert!(left <= first, "{left} threads stay");
}

#[test]
fn a_thousand_tasks_share_a_few_threads() {
    let pool = pool();
    let tasks: Vec<_> = (0..1000).map(|n| counted(&pool, Lane::ALL[n % 5], Next::Asked)).collect();
    for (_, task) in &tasks {
        task.ask(Duration::ZERO).unwrap();
    }
    assert!(tasks.iter().all(|(heard, _)| heard.recv_timeout(LONG) == Ok(1)));
    assert!(until_idle(&pool) < 7);
}

#[test]
fn what_is_asked_for_while_it_is_done_is_done_once_more() {
    let pool = pool();
    let (gate, task) = gated(&pool, Lane::Sync);
    task.ask(Duration::ZERO).unwrap();
    gate.began.recv_timeout(LONG).unwrap();
    for _ in 0..5 {
        task.ask(Duration::ZERO).unwrap();
    }
    gate.go_on.send(()).unwrap();
    gate.began.recv_timeout(LONG).unwrap();
    gate.go_on.send(()).unwrap();
    until_idle(&pool);
    assert!(gate.began.try_recv().is_err(), "it was done for each time that it was asked for");
}

#[test]
fn the_end_of_a_task_waits_for_it_and_for_no_other() {
    let pool = pool();
    let ([one, other], ended) = ([(); 2].map(|()| gated(&pool, Lane::Compact)), AtomicBool::new(false));
    for (gate, task) in [&one, &other] {
        task.ask(Duration::ZERO).unwrap();
        gate.began.recv_timeout(LONG).unwrap();
    }
    thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            one.1.stop();
            ended.store(true, Ordering::SeqCst);
        });
        // Twice at a time, too.
        scope.spawn(|| one.1.stop());
        while !pool.state.lock().plan.is_ending(one.1.id) {
            thread::yield_now();
        }
        assert!(!ended.load(Ordering::SeqCst), "it was not waited for");
        one.0.go_on.send(()).unwrap();
        stopping.join().unwrap();
    });
    // Asked for after its end, it is not begun.
    one.1.ask(Duration::ZERO).unwrap();
    one.1.stop();
    other.0.go_on.send(()).unwrap();
    until_idle(&pool);
    assert!(one.0.began.try_recv().is_err());
}

/// As the last handle to a database may be dropped by what is done in the background for it.
#[test]
fn a_task_that_ends_itself_waits_for_nobody() {
    let pool = pool();
    let (own, done) = (Arc::new(Mutex::new(None::<Task>)), Arc::new(OnceLock::new()));
    let (of_it, said): (Weak<_>, _) = (Arc::downgrade(&own), done.clone());
    let task = Task::new_in(pool.clone(), Lane::Keep, move || {
        drop(of_it.upgrade().and_then(|task| task.lock().take()));
        let _ = said.set(());
        Next::In(Duration::ZERO)
    });
    let mut held = own.lock();
    task.ask(Duration::ZERO).unwrap();
    *held = Some(task);
    drop(held);
    while done.get().is_none() {
        thread::yield_now();
    }
    until_idle(&pool);
    assert!(pool.state.lock().works.is_empty());
}

#[test]
fn a_panic_ends_neither_the_thread_nor_the_pool() {
    let pool = pool();
    let panics = Task::new_in(pool.clone(), Lane::Sync, || panic!("planted"));
    panics.ask(Duration::ZERO).unwrap();
    let (heard, task) = counted(&pool, Lane::Sync, Next::Asked);
    task.ask(Duration::ZERO).unwrap();
    assert_eq!(heard.recv_timeout(LONG), Ok(1));
    panics.stop();
    until_idle(&pool);
}

#[test]
fn what_is_to_be_done_later_is_done_then_and_again() {
    let pool = pool();
    let (heard, task) = counted(&pool, Lane::Keep, Next::In(Duration::from_millis(1)));
    task.ask(Duration::from_millis(1)).unwrap();
    assert!((1..=3).all(|n| heard.recv_timeout(LONG) == Ok(n)));
    // What comes in an hour comes at once if that is asked for.
    let (heard, later) = counted(&pool, Lane::Keep, Next::In(Duration::from_secs(3600)));
    later.ask(Duration::from_secs(3600)).unwrap();
    later.ask(Duration::ZERO).unwrap();
    assert_eq!(heard.recv_timeout(LONG), Ok(1));
}

/// More tasks than one thread can wait for: each is done when its own word is changed, and no other.
#[test]
fn a_task_that_waits_for_a_word_is_done_when_that_is_changed() {
    const TASKS: usize = 300;
    let (pool, words) = (pool(), SharedWords::in_memory(TASKS));
    let (done, heard) = mpsc::channel();
    let tasks: Vec<_> = (0..TASKS)
        .map(|at| {
            let (words, done) = (words.clone(), done.clone());
            Task::new_in(pool.clone(), Lane::Keep, move || {
                let word = WatchedWord::of(&words, at);
                let _ = done.send((at, words[at].load(Ordering::SeqCst)));
                Next::Changed(word, None)
            })
        })
        .collect();
    tasks.iter().for_each(|task| task.ask(Duration::ZERO).unwrap());
    let mut seen = [None; TASKS];
    while seen.contains(&None) {
        let (at, value) = heard.recv_timeout(LONG).unwrap();
        seen[at] = Some(value);
    }
    for at in (0..TASKS).rev().step_by(7) {
        words[at].store(1, Ordering::SeqCst);
        words.wake(at);
        // Another one may be done, too, as whoever waits may be woken early.
        while seen[at] != Some(1) {
            let (at, value) = heard.recv_timeout(LONG).unwrap();
            seen[at] = Some(value);
        }
    }
    drop(tasks);
    // Nobody waits for words of nobody.
    while !pool.state.lock().watchers.is_empty() {
        thread::yield_now();
    }
}
