//! Whoever waits for a token of a database that is open here: one thread waits for all of them, and only while there are any.

use crate::error::Failure;
use kitedb_core::{Database, Token, TokenWait, Watch};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use tokio::sync::oneshot;

/// In ms. A thread that waits for one token is not woken by what becomes of another one in another epoch: so often it looks itself.
const LOOK: u64 = 500;

/// Those who wait.
#[derive(Debug, Default)]
pub struct TokenWaits(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    /// So many came so far.
    came: u64,
    /// What the thread waits for, and what wakes it; `None`: there is no thread.
    awake: Option<(Token, Watch)>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    token: Token,
    tell: oneshot::Sender<Result<TokenWait, kitedb_core::Error>>,
}

impl TokenWaits {
    /// What becomes of a token, once that is known. Whoever waits no longer drops it.
    pub async fn outcome(self: &Arc<Self>, database: &Database, token: Token) -> Result<TokenWait, Failure> {
        let (id, told) = self.join(database, token)?;
        let _leaves = Leaves { waits: self, id };
        told.await.map_err(|_| Failure::panicked())?.map_err(Failure::from)
    }

    fn join(
        self: &Arc<Self>,
        database: &Database,
        token: Token,
    ) -> Result<(u64, oneshot::Receiver<Result<TokenWait, kitedb_core::Error>>), Failure> {
        let (tell, told) = oneshot::channel();
        let mut waiting = self.lock();
        let id = waiting.came;
        waiting.came += 1;
        waiting.waiters.push(Waiter { id, token, tell });
        match &waiting.awake {
            // It is woken before anything becomes of a later token of the same history.
            Some((first, _)) if is_of_one_writer(*first, token) && first.log_index <= token.log_index => {}
            Some((_, watch)) => watch.cancel(),
            None => {
                waiting.awake = Some((token, Watch::silent()));
                let (waits, database) = (self.clone(), database.clone());
                let work = move || waits.look_after(&database);
                if thread::Builder::new().name("kitedb-tokens".to_owned()).spawn(work).is_err() {
                    // Whoever comes next tries it again.
                    *waiting = Waiting { came: waiting.came, ..Waiting::default() };
                    return Err(Failure::busy());
                }
            }
        }
        Ok((id, told))
    }

    /// Tells all who wait, until there is nobody.
    fn look_after(&self, database: &Database) {
        loop {
            let Some((token, patience, watch)) = self.next() else { return };
            // Its outcome is looked at with those of all others; that it was ended is none.
            let _ = database.wait_for_token_outcome_with(token, patience, &watch);
            let mut waiting = self.lock();
            let (mut left, all) = (Vec::new(), std::mem::take(&mut waiting.waiters));
            for waiter in all {
                match database.wait_for_token_outcome(waiter.token, 0) {
                    Ok(TokenWait::TimedOut) => left.push(waiter),
                    // Who does not wait any more is told nothing.
                    outcome => drop(waiter.tell.send(outcome)),
                }
            }
            waiting.waiters = left;
        }
    }

    /// The token that comes first of those that are waited for; for how long, in ms; and what wakes who waits. `None`: nobody waits.
    fn next(&self) -> Option<(Token, u64, Watch)> {
        let mut waiting = self.lock();
        let Some(first) = waiting.waiters.iter().map(|waiter| waiter.token).min_by_key(|token| token.log_index) else {
            waiting.awake = None;
            return None;
        };
        let alike = waiting.waiters.iter().all(|waiter| is_of_one_writer(first, waiter.token));
        let (patience, watch) = (if alike { u64::MAX } else { LOOK }, Watch::silent());
        waiting.awake = Some((first, watch.clone()));
        Some((first, patience, watch))
    }

    /// Nothing that is done with it is left half done by a panic.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two tokens are of one epoch of one writer, as far as they tell.
fn is_of_one_writer(one: Token, other: Token) -> bool {
    one.epoch == other.epoch && one.tag() == other.tag()
}

/// One who waits, until he goes. The thread is woken as the last one does, so that it waits for nobody.
struct Leaves<'w> {
    waits: &'w TokenWaits,
    id: u64,
}

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waits.lock();
        waiting.waiters.retain(|waiter| waiter.id != self.id);
        if let (true, Some((_, watch))) = (waiting.waiters.is_empty(), &waiting.awake) {
            watch.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn commit(database: &Database) {
        database.transaction(|tx| tx.create_node(None)).unwrap();
    }

    async fn until(mut is: impl FnMut() -> bool) {
        while !is() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn many_wait_in_one_thread_and_each_is_told_at_its_commit() {
        let database = Database::in_memory().unwrap();
        let waits = Arc::new(TokenWaits::default());
        let waiters: Vec<_> = (1..=200_u64)
            .map(|n| {
                let (waits, database) = (waits.clone(), database.clone());
                let token: Token = format!("1:{}", 1 + n % 4).parse().unwrap();
                tokio::spawn(async move { (token, waits.outcome(&database, token).await.unwrap()) })
            })
            .collect();
        until(|| waits.lock().waiters.len() == 200).await;
        commit(&database);
        until(|| waits.lock().waiters.len() == 150).await;
        (0..3).for_each(|_| commit(&database));
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap().1, TokenWait::Reached);
        }
        until(|| waits.lock().awake.is_none()).await;
    }

    #[tokio::test]
    async fn whoever_goes_leaves_nothing_behind() {
        let database = Database::in_memory().unwrap();
        let waits = Arc::new(TokenWaits::default());
        let token = "1:1".parse().unwrap();
        assert!(timeout(Duration::from_millis(5), waits.outcome(&database, token)).await.is_err());
        until(|| waits.lock().awake.is_none()).await;
        assert!(waits.lock().waiters.is_empty());
        // A thread is started again for who comes later.
        commit(&database);
        assert_eq!(waits.outcome(&database, token).await.unwrap(), TokenWait::Reached);
    }

    #[tokio::test]
    async fn whoever_waits_for_an_earlier_token_or_one_of_another_epoch_is_told_in_time() {
        let options = kitedb_core::OpenOptions::new().replication_role(kitedb_core::ReplicationRole::Primary);
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path().join("p.kitedb"), options).unwrap();
        let waits = Arc::new(TokenWaits::default());
        let wait = |token: &str| {
            let (waits, database, token) = (waits.clone(), database.clone(), token.parse().unwrap());
            tokio::spawn(async move { waits.outcome(&database, token).await.unwrap() })
        };
        let (never, third) = (wait("1:99"), wait("1:3"));
        until(|| waits.lock().waiters.len() == 2).await;
        let (second, next) = (wait("1:2"), wait("2:5"));
        until(|| waits.lock().waiters.len() == 4).await;
        (0..2).for_each(|_| commit(&database));
        assert_eq!(second.await.unwrap(), TokenWait::Reached);
        commit(&database);
        assert_eq!(third.await.unwrap(), TokenWait::Reached);
        database.primary_promote_to_next_epoch().unwrap();
        assert_eq!(never.await.unwrap(), TokenWait::EpochChanged);
        (0..2).for_each(|_| commit(&database));
        assert_eq!(next.await.unwrap(), TokenWait::Reached);
        until(|| waits.lock().awake.is_none()).await;
    }

    #[tokio::test]
    async fn a_database_that_is_closed_has_nobody_wait() {
        let database = Database::in_memory().unwrap();
        let waits = Arc::new(TokenWaits::default());
        let waiter = tokio::spawn({
            let (waits, database) = (waits.clone(), database.clone());
            async move { waits.outcome(&database, "1:1".parse().unwrap()).await }
        });
        until(|| waits.lock().waiters.len() == 1).await;
        database.close().unwrap();
        assert!(waiter.await.unwrap().is_err());
    }
}
