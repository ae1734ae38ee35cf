//! Whoever waits for a token of a database that is open here: one thread waits for all of them, and only while there are any.

use crate::error::Failure;
use kitedb_core::{Database, Token, TokenWait, Watch};
use std::{
    collections::HashMap,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};
use tokio::sync::oneshot;

/// Those who wait.
#[derive(Debug, Default)]
pub struct TokenWaits(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    waiters: Vec<Waiter>,
    /// So many came so far.
    came: u64,
    /// What wakes the thread; `None`: there is none.
    awake: Option<Watch>,
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
            // It goes on to wait for this one, too.
            Some(watch) => watch.cancel(),
            None => {
                waiting.awake = Some(Watch::silent());
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
        while let Some((ids, tokens, watch)) = self.next() {
            let outcomes = match database.wait_for_any_token_with(&tokens, u64::MAX, &watch) {
                Ok(outcomes) => outcomes,
                // Somebody came, or all went.
                Err(_) if watch.is_cancelled() => continue,
                Err(e) => {
                    let mut waiting = self.lock();
                    // Of what one came for, the others are told alike, as this goes for the database.
                    waiting.waiters.drain(..).for_each(|waiter| drop(waiter.tell.send(Err(e.clone()))));
                    continue;
                }
            };
            let told: HashMap<_, _> = ids.into_iter().zip(outcomes).collect();
            let mut waiting = self.lock();
            let (left, done): (Vec<_>, Vec<_>) = take(&mut waiting.waiters)
                .into_iter()
                .partition(|waiter| told.get(&waiter.id).copied().flatten().is_none());
            waiting.waiters = left;
            drop(waiting);
            for waiter in done {
                if let Some(outcome) = told.get(&waiter.id).copied().flatten() {
                    // Who does not wait any more is told nothing.
                    drop(waiter.tell.send(Ok(outcome)));
                }
            }
        }
    }

    /// Who waits for what, and what wakes whoever waits for all of it. `None`: nobody waits.
    fn next(&self) -> Option<(Vec<u64>, Vec<Token>, Watch)> {
        let mut waiting = self.lock();
        if waiting.waiters.is_empty() {
            waiting.awake = None;
            return None;
        }
        let watch = Watch::silent();
        waiting.awake = Some(watch.clone());
        let (ids, tokens) = waiting.waiters.iter().map(|waiter| (waiter.id, waiter.token)).unzip();
        Some((ids, tokens, watch))
    }

    /// Nothing that is done with it is left half done by a panic.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        if let (true, Some(watch)) = (waiting.waiters.is_empty(), &waiting.awake) {
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
