//! The circuit breaker: a pure state machine (`machine`), and the places where its state is kept: in this process
//! (`table`), in a file (`file`) or in an HTTP store (`http`), each of them with other keys' states in it.
//!
//! A store that does not work holds up no push: that is counted and told, and what the process remembers takes the
//! store's place until the next push.

pub(crate) mod document;
mod file;
pub(crate) mod http;
mod machine;
mod state;
mod table;

pub(crate) use http::header_text;
pub(crate) use machine::Policy;
pub use state::BreakerState;

use crate::{
    clock::now_ms,
    error::{Result, TelemetryError},
    health::{BreakerPhase, ExporterHealth},
    retry::Outcome,
};
use file::{Change, FileStore};
use http::HttpStore;
use machine::{Gate, Ticket};
use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use table::{Address, Place, Table};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

/// What this process knows.
static TABLE: LazyLock<Table> = LazyLock::new(Table::default);

/// Pushes of this process come one after the other to a key of an HTTP store, or to its document: without CAS they
/// would else both find the same probe free, with CAS get in each other's way.
static TURNS: [Mutex<()>; 64] = [const { Mutex::const_new(()) }; 64];

/// So long a push that ends without a result waits for the lock of the file that has its probe.
const RELEASE_PATIENCE: Duration = Duration::from_millis(100);

/// One breaker, and where its state is.
#[derive(Debug, Clone)]
pub(crate) struct BreakerSettings {
    pub policy: Policy,
    /// Under which name the state is kept.
    pub key: String,
    /// The endpoint, as errors show it.
    pub shown: String,
    pub store: StoreSettings,
    /// Of the whole push: a call of the store takes a quarter of it at most.
    pub timeout: Duration,
}

/// Where states are kept.
#[derive(Debug, Clone)]
pub(crate) enum StoreSettings {
    Process,
    File(PathBuf),
    Http(HttpStoreSettings),
}

/// How states are kept in an HTTP store.
#[derive(Clone)]
pub(crate) struct HttpStoreSettings {
    /// Verbatim, for every method.
    pub url: url::Url,
    pub mode: HttpStoreMode,
    /// Conditional writes.
    pub cas: bool,
    pub lease_id: Option<String>,
    /// How often a write is tried that meets another one.
    pub write_attempts: u32,
    /// Set once TLS is loaded.
    pub client: Option<reqwest::Client>,
}

/// The URL's credentials and the lease stay out of it.
impl fmt::Debug for HttpStoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStoreSettings")
            .field("origin", &self.url.origin().ascii_serialization())
            .field("mode", &self.mode)
            .field("cas", &self.cas)
            .field("write_attempts", &self.write_attempts)
            .finish_non_exhaustive()
    }
}

/// What one request of an HTTP store is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpStoreMode {
    Document,
    Patch,
    Batch { max_keys: u32 },
    Merge { max_keys: u32 },
}

/// Why a call of a store failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreError {
    /// Without secrets.
    text: String,
    conflict: bool,
}

impl StoreError {
    /// The store does not work. The text must hold no secret.
    pub fn new(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), conflict: false }
    }

    /// The store works, but others wrote whenever this was to be written.
    pub fn conflict(text: impl fmt::Display) -> Self {
        Self { text: text.to_string(), conflict: true }
    }

    /// Whether it was others who wrote.
    pub fn is_conflict(&self) -> bool {
        self.conflict
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The breaker of one push at a time: [`Self::admit`], [`Self::multiplier`] before each wait, [`Self::settle`]. It is
/// cheap to make, and its state lies where the settings say.
#[derive(Debug)]
pub(crate) struct Breaker(Arc<Kept>);

impl Breaker {
    /// Neither asks nor changes anything yet.
    pub fn new(settings: BreakerSettings, health: Arc<ExporterHealth>) -> Self {
        let BreakerSettings { policy, key, shown, store, timeout } = settings;
        let (store, place) = match store {
            StoreSettings::Process => (Store::Process, Place::Process),
            StoreSettings::File(path) => {
                let file = FileStore::new(&path);
                let place = Place::File(file.path().to_owned());
                (Store::File(file), place)
            }
            StoreSettings::Http(settings) => {
                let place = Place::Http(settings.url.as_str().to_owned());
                let mode = settings.mode;
                (Store::Http(HttpStore::new(settings), mode), place)
            }
        };
        let address = Arc::new((place, key));
        Self(Arc::new(Kept {
            policy,
            shown,
            store,
            address,
            budget: timeout / 4,
            failed: AtomicBool::new(false),
            health,
        }))
    }

    /// Asks whether a push may be sent. Who drops the admission without [`Self::settle`] gives a probe back.
    ///
    /// # Errors
    /// [`TelemetryError::CircuitOpen`] or [`TelemetryError::ProbeInFlight`]: it may not.
    pub async fn admit(&self) -> Result<Admission> {
        let kept = &self.0;
        kept.failed.store(false, Ordering::Relaxed);
        let mut gate = Gate::ProbeInFlight;
        if kept.policy.threshold == 0 {
            gate = machine::admit(&mut BreakerState::default(), &kept.policy, now_ms());
        } else {
            let changed = kept.update(&mut |state| gate = machine::admit(state, &kept.policy, now_ms())).await;
            match changed {
                Ok(state) => kept.show(&state),
                // Others were faster, and a probe is what there is only one of.
                Err(_) if matches!(gate, Gate::Pass(ticket) if ticket.is_probe()) => {
                    gate = Gate::ProbeInFlight;
                    kept.health.set_breaker(BreakerPhase::HalfOpen);
                }
                Err(_) => {}
            }
        }
        match gate {
            Gate::Pass(ticket) => Ok(Admission { kept: kept.clone(), ticket, settled: false }),
            Gate::Open { until_ms } => Err(TelemetryError::CircuitOpen { endpoint: kept.shown.clone(), until_ms }),
            Gate::ProbeInFlight => Err(TelemetryError::ProbeInFlight { endpoint: kept.shown.clone() }),
        }
    }

    /// By how much the next wait is longer: 1 to 9.
    pub async fn multiplier(&self) -> u32 {
        if self.0.policy.adaptive.is_none() {
            return 1;
        }
        machine::multiplier(&self.0.read().await, &self.0.policy)
    }

    /// Records what became of the push.
    pub async fn settle(&self, mut admission: Admission, outcome: Outcome) {
        let kept = &self.0;
        if kept.policy.is_on() {
            let ticket = admission.ticket;
            let changed =
                kept.update(&mut |state| machine::settle(state, &kept.policy, &ticket, outcome, now_ms())).await;
            match changed {
                Ok(state) => kept.show(&state),
                Err(error) => kept.report(&error),
            }
        }
        admission.settled = true;
    }
}

/// A push that may be sent. Dropped without [`Breaker::settle`], it gives a probe back: at once in this process and in
/// a file; in an HTTP store the probe's lease runs out.
#[derive(Debug)]
pub(crate) struct Admission {
    kept: Arc<Kept>,
    ticket: Ticket,
    settled: bool,
}

impl Drop for Admission {
    fn drop(&mut self) {
        if self.settled || !self.ticket.is_probe() {
            return;
        }
        let kept = &self.kept;
        let mut release = |state: &mut BreakerState| machine::release(state, &kept.policy, &self.ticket);
        TABLE.apply(&kept.address, &mut release, false);
        if let Store::File(file) = &kept.store
            && let Err(error) = file.update_now(&kept.address.1, &mut release, RELEASE_PATIENCE)
        {
            kept.report(&error);
        }
    }
}

#[derive(Debug)]
enum Store {
    Process,
    File(FileStore),
    Http(HttpStore, HttpStoreMode),
}

/// A state, wherever it is.
#[derive(Debug)]
struct Kept {
    policy: Policy,
    shown: String,
    store: Store,
    address: Address,
    /// For one call of the store.
    budget: Duration,
    /// Whether the store failed during this push: then it is not asked again.
    failed: AtomicBool,
    health: Arc<ExporterHealth>,
}

impl Kept {
    /// Changes the state, in the store if it works and else in memory. `change` may be applied more than once: only
    /// the last time counts.
    ///
    /// # Errors
    /// The store has got other writes in its place; the change is not kept anywhere.
    async fn update(&self, change: Change<'_>) -> Result<BreakerState, StoreError> {
        if matches!(self.store, Store::Process) {
            return Ok(TABLE.apply(&self.address, change, false));
        }
        if self.failed.load(Ordering::Relaxed) {
            return Ok(TABLE.apply(&self.address, change, true));
        }
        let mut last = None;
        let mut tracked = |state: &mut BreakerState| {
            change(state);
            last = Some(state.clone());
        };
        match (self.update_store(&mut tracked).await, last) {
            (Ok(state), _) => {
                TABLE.put(&self.address, state.clone(), false);
                Ok(state)
            }
            (Err(error), _) if error.is_conflict() => Err(error),
            (Err(error), last) => {
                self.report(&error);
                self.failed.store(true, Ordering::Relaxed);
                Ok(match last {
                    // It was read, only not written.
                    Some(state) => {
                        TABLE.put(&self.address, state.clone(), true);
                        state
                    }
                    None => TABLE.apply(&self.address, change, true),
                })
            }
        }
    }

    async fn update_store(&self, change: Change<'_>) -> Result<BreakerState, StoreError> {
        let key = &self.address.1;
        // An absent entry is a fresh one, unless it is absent because the store did not take it.
        let memory = || Some(TABLE.read(&self.address)).filter(|(_, pending)| *pending).map(|(state, _)| state);
        match &self.store {
            Store::Process => Ok(TABLE.apply(&self.address, change, false)),
            Store::File(file) => file.update(key, memory().as_ref(), change, self.budget).await,
            Store::Http(store, mode) => {
                let until = Instant::now() + self.budget;
                let _turn = self.turn(*mode == HttpStoreMode::Document).await?;
                let mut pending = TABLE.pending_beside(&self.address);
                let left = until.saturating_duration_since(Instant::now());
                let state = store.update(key, memory().as_ref(), &pending, change, left).await?;
                pending.truncate(store.companions());
                TABLE.taken(&self.address.0, &pending);
                Ok(state)
            }
        }
    }

    /// The state as it is now.
    async fn read(&self) -> BreakerState {
        let key = &self.address.1;
        let (known, pending) = TABLE.read(&self.address);
        let read = match &self.store {
            Store::Process => return known,
            _ if self.failed.load(Ordering::Relaxed) => return known,
            Store::File(file) => file.read(key, self.budget).await,
            Store::Http(store, _) => store.read(key, self.budget).await,
        };
        match read {
            Ok(None) if pending => known,
            Ok(state) => {
                let state = state.unwrap_or_default();
                TABLE.put(&self.address, state.clone(), false);
                state
            }
            Err(error) => {
                self.report(&error);
                self.failed.store(true, Ordering::Relaxed);
                known
            }
        }
    }

    /// Waits until no other push of this process is at what this one reads and writes.
    async fn turn(&self, whole: bool) -> Result<MutexGuard<'static, ()>, StoreError> {
        let mut hasher = DefaultHasher::new();
        let (place, key) = &*self.address;
        (place, (!whole).then_some(key)).hash(&mut hasher);
        let turn = &TURNS[hasher.finish() as usize % TURNS.len()];
        tokio::time::timeout(self.budget, turn.lock())
            .await
            .map_err(|_| StoreError::new("breaker store: another push of this process is still at it"))
    }

    /// Counts and tells that the store did not do its part.
    fn report(&self, error: &StoreError) {
        self.health.count_store_error();
        tracing::warn!(endpoint = %self.shown, %error, "the circuit breaker's state could not be shared");
    }

    fn show(&self, state: &BreakerState) {
        if self.policy.threshold > 0 {
            self.health.set_breaker(machine::phase(state, now_ms()));
        }
    }
}

#[cfg(test)]
mod tests;
