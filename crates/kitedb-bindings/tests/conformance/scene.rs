//! One case while it runs: its folder, its objects, and the calls on them.

use crate::{
    graph::{bytes, read, write},
    options, tags,
    told::told,
};
use kitedb::{
    BulkLoader, Database, Error, ErrorCode, ExportedSnapshot, Pending, Token, Transaction, TransactionHandle, Value,
    ViewHandle, compare, compare_deep,
    io::Env,
    telemetry::{self, TelemetryError},
    transport::TransportJson,
};
use serde_json::{Value as Json, json};
use std::{collections::HashMap, fs, io, path::Path, time::Duration};
use tempfile::TempDir;

/// What a call failed with.
pub struct Failure {
    pub code: String,
    pub message: String,
}

impl Failure {
    pub fn of(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string() }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Self::of(e.code().as_str(), e)
    }
}

impl From<TelemetryError> for Failure {
    fn from(e: TelemetryError) -> Self {
        Self::of(e.code(), e)
    }
}

impl From<io::Error> for Failure {
    fn from(e: io::Error) -> Self {
        Self::of("HOST", e)
    }
}

type Answer = Result<Json, Failure>;

/// The arguments of a call. Those that are left out are null.
pub struct Args<'j> {
    list: &'j [Json],
    with: &'j Json,
}

impl<'j> Args<'j> {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn json(&self, nth: usize) -> &'j Json {
        self.list.get(nth).unwrap_or(&Json::Null)
    }

    pub fn text(&self, nth: usize) -> &'j str {
        self.json(nth).as_str().unwrap_or_else(|| panic!("argument {nth} is no text"))
    }

    pub fn number(&self, nth: usize) -> u64 {
        self.json(nth).as_u64().unwrap_or_else(|| panic!("argument {nth} is no number"))
    }

    pub fn size(&self, nth: usize) -> usize {
        self.number(nth) as usize
    }

    pub fn node(&self, nth: usize) -> kitedb::NodeId {
        kitedb::NodeId(self.number(nth))
    }

    pub fn after(&self, nth: usize) -> Option<kitedb::NodeId> {
        self.json(nth).as_u64().map(kitedb::NodeId)
    }

    pub fn list(&self, nth: usize) -> &'j [Json] {
        self.json(nth).as_array().unwrap()
    }

    pub fn all_with(&self) -> &'j Json {
        self.with
    }

    pub fn with(&self, name: &str) -> Option<&'j Json> {
        self.with.get(name)
    }
}

/// What a case holds under a name.
enum Object {
    Database { db: Database, open: bool },
    Transaction(TransactionHandle, Database),
    Snapshot(ViewHandle),
    Bulk(Option<Box<BulkLoader>>),
    Pending(Pending),
    Image(Option<Box<ExportedSnapshot>>),
}

pub struct Scene {
    folder: TempDir,
    objects: HashMap<String, Object>,
    values: HashMap<String, Json>,
}

/// What came of a call: a value, or an object that a case may give a name.
enum Outcome {
    Value(Json),
    Object(Object),
}

fn finished(what: &str) -> Failure {
    Failure::of(ErrorCode::Finished.as_str(), format!("this {what} is done with"))
}

fn unknown(call: &str) -> Failure {
    Failure::of("NO_CALL", format!("the Rust runner of the cases knows no {call}"))
}

fn token(token: Token) -> Json {
    token.full().into()
}

fn shown(path: &Path) -> Json {
    path.to_str().unwrap().into()
}

impl Scene {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), objects: HashMap::new(), values: HashMap::new() }
    }

    /// Opens the database that a case begins with.
    pub fn open_first(&mut self, options: Option<&Json>) -> Result<(), Failure> {
        let options = options::open(&self.resolved(options.unwrap_or(&Json::Null)))?;
        let db = Database::open(self.path("db.kitedb"), options)?;
        self.objects.insert("db".to_owned(), Object::Database { db, open: true });
        Ok(())
    }

    /// A path in the folder of the case, as the engine names it.
    fn path(&self, name: &str) -> String {
        let folder = self.folder.path().canonicalize().unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    }

    /// What stands for paths and results, in its place. Objects keep their names.
    pub fn resolved(&self, json: &Json) -> Json {
        match json {
            Json::Array(items) => items.iter().map(|item| self.resolved(item)).collect(),
            Json::Object(members) if members.len() == 1 => {
                if let Some(path) = members.get("$path") {
                    return self.path(path.as_str().unwrap()).into();
                }
                if let Some(file) = members.get("$file") {
                    return crate::folder().join(file.as_str().unwrap()).to_str().unwrap().into();
                }
                if let Some(repeat) = members.get("$repeat") {
                    return repeat[0].as_str().unwrap().repeat(repeat[1].as_u64().unwrap() as usize).into();
                }
                match members.get("$ref") {
                    Some(Json::String(name)) => self.values.get(name).unwrap_or(json).clone(),
                    Some(Json::Array(way)) => {
                        let found = self.values.get(way[0].as_str().unwrap()).unwrap();
                        way[1..].iter().fold(found, |found, member| &found[member.as_str().unwrap()]).clone()
                    }
                    _ => self.within(members),
                }
            }
            Json::Object(members) => self.within(members),
            json => json.clone(),
        }
    }

    fn within(&self, members: &serde_json::Map<String, Json>) -> Json {
        Json::Object(members.iter().map(|(name, value)| (name.clone(), self.resolved(value))).collect())
    }

    /// Makes the call of a step, and keeps its result where it gets a name.
    pub fn run(&mut self, step: &Json) -> Answer {
        let args = self.resolved(step.get("args").unwrap_or(&Json::Null));
        let with = self.resolved(step.get("with").unwrap_or(&Json::Null));
        let args = Args { list: args.as_array().map_or(&[], Vec::as_slice), with: &with };
        let on = step.get("on").and_then(Json::as_str).unwrap_or("db");
        let result = self.call(on, step["call"].as_str().unwrap(), &args)?;
        let name = step.get("as").and_then(Json::as_str).map(str::to_owned);
        match (result, name) {
            (Outcome::Value(value), name) => {
                if let Some(name) = name {
                    self.values.insert(name, value.clone());
                }
                Ok(value)
            }
            (Outcome::Object(object), Some(name)) => {
                self.objects.insert(name, object);
                Ok(Json::Null)
            }
            (Outcome::Object(_), None) => Ok(Json::Null),
        }
    }

    fn call(&mut self, on: &str, call: &str, args: &Args<'_>) -> Result<Outcome, Failure> {
        match on {
            "Database" => return class(call, args),
            "kitedb" => return self.free(call, args).map(Outcome::Value),
            "host" => return host(call, args).map(Outcome::Value),
            _ => {}
        }
        if call == "begin_after" {
            let Some(Object::Pending(pending)) = args.json(0)["$ref"].as_str().and_then(|it| self.objects.get(it))
            else {
                panic!("begin_after wants a pending commit")
            };
            let db = self.database(on);
            return begun(db.begin_after(pending)?, db, args);
        }
        match self.objects.get_mut(on).unwrap_or_else(|| panic!("there is no {on}")) {
            Object::Database { db, open } => on_database(db, open, call, args),
            Object::Transaction(tx, db) => on_transaction(tx, db, call, args),
            Object::Snapshot(view) => on_snapshot(view, call, args).map(Outcome::Value),
            Object::Bulk(bulk) => on_bulk(bulk, call, args).map(Outcome::Value),
            Object::Pending(pending) => match call {
                "token" => Ok(Outcome::Value(token(pending.token()))),
                "wait" => Ok(Outcome::Value(token(pending.wait()?))),
                call => Err(unknown(call)),
            },
            Object::Image(image) => on_image(image, call, args).map(Outcome::Value),
        }
    }

    fn database(&self, name: &str) -> &Database {
        match self.objects.get(name) {
            Some(Object::Database { db, .. }) => db,
            _ => panic!("{name} is no database"),
        }
    }

    fn free(&self, call: &str, args: &Args<'_>) -> Answer {
        let db = |nth: usize| self.database(args.json(nth)["$ref"].as_str().unwrap());
        Ok(match call {
            "compare" => told(&compare(db(0), db(1))?),
            "compare_deep" => told(&compare_deep(db(0), db(1))?),
            "collect_metrics" => told(&db(0).collect_metrics()?),
            "health_check" => told(&db(0).health_check()?),
            "collect_replication_metrics_prometheus" => {
                telemetry::collect_replication_metrics_prometheus_single_file(db(0))?.into()
            }
            "collect_replication_metrics_otel_json" => {
                telemetry::collect_replication_metrics_otel_json_single_file(db(0))?.into()
            }
            "collect_replication_metrics_otel_protobuf" => {
                bytes(telemetry::collect_replication_metrics_otel_protobuf_single_file(db(0))?)
            }
            "collect_replication_snapshot_transport_json" => snapshot_json(db(0), args.json(1))?,
            "collect_replication_log_transport_json" => log_json(db(0), &args.list[1..])?,
            "push_replication_metrics_otel_json" => pushed(telemetry::push_replication_metrics_otel_json_single_file(
                db(0),
                args.text(1),
                args.number(2),
                None,
            ))?,
            "push_replication_metrics_otel_protobuf" => {
                let (endpoint, timeout) = (args.text(1), args.number(2));
                pushed(telemetry::push_replication_metrics_otel_protobuf_single_file(db(0), endpoint, timeout, None))?
            }
            "push_replication_metrics_otel_grpc" => {
                let (endpoint, timeout) = (args.text(1), args.number(2));
                pushed(telemetry::push_replication_metrics_otel_grpc_single_file(db(0), endpoint, timeout, None))?
            }
            call => return Err(unknown(call)),
        })
    }
}

fn pushed(result: Result<telemetry::OtlpHttpExportResult, TelemetryError>) -> Answer {
    Ok(json!({"status_code": result?.status_code}))
}

fn snapshot_json(db: &Database, include_data: &Json) -> Answer {
    Ok(db.primary_export_snapshot_transport_json(include_data.as_bool().unwrap_or(false))?.into())
}

fn log_json(db: &Database, args: &[Json]) -> Answer {
    let number = |nth: usize, default| args.get(nth).and_then(Json::as_u64).unwrap_or(default) as usize;
    let cursor = args.first().and_then(Json::as_str);
    let payload = args.get(3).and_then(Json::as_bool).unwrap_or(true);
    Ok(db.primary_export_log_transport_json(cursor, number(1, 128), number(2, 1 << 20), payload)?.into())
}

fn opened(db: Database) -> Result<Outcome, Failure> {
    Ok(Outcome::Object(Object::Database { db, open: true }))
}

fn class(call: &str, args: &Args<'_>) -> Result<Outcome, Failure> {
    let with = args.all_with();
    Ok(Outcome::Value(match call {
        "open" => return opened(Database::open(args.text(0), options::open(with)?)?),
        "in_memory" => return opened(Database::in_memory_with(options::open(with)?)?),
        "detach" => told(&Database::detach_in(Env::real(), args.text(0), options::open(with)?)?),
        "confirm_moved" => told(&Database::confirm_moved_in(Env::real(), args.text(0), options::open(with)?)?),
        "repair" => told(&Database::repair(args.text(0), options::repair(with)?)?),
        "remove_replica_at" => Database::remove_replica_at(args.text(0), &options::open(with)?, args.text(1))?.into(),
        "confirm_replicas_at" => none(Database::confirm_replicas_at(args.text(0), &options::open(with)?)?),
        "run_retention_at" => {
            let windows = options::windows(args.json(1))?;
            told(&Database::run_retention_at(args.text(0), &options::open(with)?, &windows)?)
        }
        call => return Err(unknown(call)),
    }))
}

fn none((): ()) -> Json {
    Json::Null
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        return fs::read_dir(from)?.try_for_each(|entry| {
            let entry = entry?;
            copy(&entry.path(), &to.join(entry.file_name()))
        });
    }
    fs::create_dir_all(to.parent().unwrap())?;
    fs::copy(from, to).map(drop)
}

fn host(call: &str, args: &Args<'_>) -> Answer {
    let path = |nth| Path::new(args.text(nth));
    Ok(match call {
        "exists" => path(0).exists().into(),
        "write_file" => match tags::value(args.json(1))? {
            Value::Bytes(bytes) => none(fs::write(path(0), bytes)?),
            other => panic!("{other:?} is no bytes"),
        },
        "copy" => none(copy(path(0), path(1))?),
        "hard_link" => none(fs::hard_link(path(0), path(1))?),
        "remove" if path(0).is_dir() => none(fs::remove_dir_all(path(0))?),
        "remove" => none(fs::remove_file(path(0))?),
        "sleep" => none(std::thread::sleep(Duration::from_millis(args.number(0)))),
        call => return Err(unknown(call)),
    })
}

fn begun(mut tx: Transaction, db: &Database, args: &Args<'_>) -> Result<Outcome, Failure> {
    tx.set_origin(args.with("origin").and_then(Json::as_str).unwrap_or("rust"));
    Ok(Outcome::Object(Object::Transaction(tx.into_handle(), db.clone())))
}

fn on_database(db: &Database, open: &mut bool, call: &str, args: &Args<'_>) -> Result<Outcome, Failure> {
    match call {
        "begin" => return begun(db.begin()?, db, args),
        "snapshot" => {
            let origin = args.with("origin").and_then(Json::as_str).unwrap_or("rust").to_owned();
            let view = db.snapshot()?.with_origin(origin).into_handle();
            return Ok(Outcome::Object(Object::Snapshot(view)));
        }
        "begin_bulk" => return Ok(Outcome::Object(Object::Bulk(Some(Box::new(db.begin_bulk(args.size(0))?))))),
        "primary_export_snapshot" => {
            return Ok(Outcome::Object(Object::Image(Some(Box::new(db.primary_export_snapshot()?)))));
        }
        _ => {}
    }
    Ok(Outcome::Value(match call {
        "is_open" => (*open).into(),
        "read_only" => db.is_read_only().into(),
        "sync_mode" => kitedb_bindings::sync_mode(db.sync_mode()).into(),
        "path" => shown(db.path()),
        "damage" => db.damage().map(|damage| damage.to_string()).into(),
        "is_current" => db.is_current()?.into(),
        "refresh" => db.refresh()?.into(),
        "is_copied" => db.is_copied().into(),
        "replication_role" => db.replication_role().as_str().into(),
        "replication_log_fault" => db.replication_log_fault().into(),
        "replication_log_is_denied" => db.replication_log_is_denied().into(),
        "require_commits" => none(db.require_commits()?),
        "last_commit_token" => db.last_commit_token().map(token).into(),
        "digest" => db.snapshot()?.digest().to_string().into(),
        "close" => {
            *open = false;
            none(db.close()?)
        }
        "abandon" => {
            *open = false;
            none(db.abandon()?)
        }
        "checkpoint" => none(db.checkpoint()?),
        "compact" => none(db.compact()?),
        "compact_step" => db.compact_step()?.into(),
        "sync" => none(db.sync()?),
        "check" => told(&db.check()?),
        "stats" => told(&db.stats()?),
        call => return replication(db, call, args).map(Outcome::Value),
    }))
}

fn replication(db: &Database, call: &str, args: &Args<'_>) -> Answer {
    Ok(match call {
        "primary_replication_status" => told(&db.primary_replication_status()?),
        "replica_replication_status" => told(&db.replica_replication_status()?),
        "primary_report_replica_progress" => {
            none(db.primary_report_replica_progress(args.text(0), args.number(1), args.number(2))?)
        }
        "primary_remove_replica" => db.primary_remove_replica(args.text(0))?.into(),
        "primary_run_retention" => told(&db.primary_run_retention()?),
        "primary_promote_to_next_epoch" => db.primary_promote_to_next_epoch()?.into(),
        "primary_promote_by_force" => db.primary_promote_by_force()?.into(),
        "primary_rivals" => told(&db.primary_rivals()?),
        "took_over_from" => db.took_over_from()?.as_deref().map(shown).into(),
        "export_replication_snapshot_transport_json" => snapshot_json(db, args.json(0))?,
        "export_replication_log_transport_json" => log_json(db, args.list)?,
        "replica_bootstrap_from_snapshot" => none(db.replica_bootstrap_from_snapshot()?),
        "replica_reseed_from_snapshot" => none(db.replica_reseed_from_snapshot()?),
        "replica_copy_source" => told(&db.replica_copy_source()?),
        "replica_catch_up_once" => db.replica_catch_up_once(args.size(0))?.into(),
        "replica_promote" => told(&db.replica_promote(args.json(0).as_bool().unwrap_or(false))?),
        "replica_rivals" => told(&db.replica_rivals()?),
        "replica_repoint" => none(db.replica_repoint(args.text(0), None)?),
        "replica_wait_for_news" => db.replica_wait_for_news(args.number(0), args.number(1))?.into(),
        "start_follower" => none(db.start_follower(options::follower(args.all_with())?)?),
        "stop_follower" => none(db.stop_follower()?),
        "wait_for_token" => db.wait_for_token(args.text(0).parse()?, args.number(1))?.into(),
        "wait_for_token_outcome" => db.wait_for_token_outcome(args.text(0).parse()?, args.number(1))?.as_str().into(),
        call => return on_newest(db, call, args),
    })
}

/// A read of the newest state, or a write that is a transaction of its own.
fn on_newest(db: &Database, call: &str, args: &Args<'_>) -> Answer {
    if let Some(answer) = read(&db.snapshot()?, call, args) {
        return answer;
    }
    db.transaction(|tx| write(tx, call, args).unwrap_or_else(|| Err(unknown(call))))
}

fn on_transaction(tx: &TransactionHandle, db: &Database, call: &str, args: &Args<'_>) -> Result<Outcome, Failure> {
    Ok(Outcome::Value(match call {
        "commit" => token(tx.commit()?),
        "commit_with_token" => {
            let role = db.replication_role();
            let committed = tx.commit()?;
            (role == kitedb::ReplicationRole::Primary).then(|| committed.to_string()).into()
        }
        "submit" => return Ok(Outcome::Object(Object::Pending(tx.submit()?))),
        "rollback" => none(tx.rollback()),
        "is_expired" => tx.with(|tx| Ok(tx.is_expired()))?.into(),
        "log_bytes" => (tx.with(|tx| Ok(tx.log_bytes()))? as u64).into(),
        call => {
            let mut answer = None;
            tx.with(|tx| {
                answer = read(tx, call, args).or_else(|| write(tx, call, args));
                Ok(())
            })?;
            answer.unwrap_or_else(|| Err(unknown(call)))?
        }
    }))
}

fn on_snapshot(view: &ViewHandle, call: &str, args: &Args<'_>) -> Answer {
    if call == "release" {
        return Ok(none(view.release()));
    }
    let view = view.view()?;
    Ok(match call {
        "token" => token(view.token()),
        "digest" => view.digest().to_string().into(),
        "commit_ms" => view.commit_ms().into(),
        "is_expired" => view.is_expired().into(),
        call => read(&*view, call, args).unwrap_or_else(|| Err(unknown(call)))?,
    })
}

fn on_bulk(bulk: &mut Option<Box<BulkLoader>>, call: &str, args: &Args<'_>) -> Answer {
    if call == "finish" {
        return Ok(token(bulk.take().ok_or_else(|| finished("bulk load"))?.finish()?));
    }
    let load = bulk.as_mut().ok_or_else(|| finished("bulk load"))?;
    Ok(match call {
        "last_token" => load.last_token().map(token).into(),
        "step" => load.step()?.map(token).into(),
        "flush" => token(load.flush()?),
        call => read(&***load, call, args).or_else(|| write(load, call, args)).unwrap_or_else(|| Err(unknown(call)))?,
    })
}

fn on_image(image: &mut Option<Box<ExportedSnapshot>>, call: &str, args: &Args<'_>) -> Answer {
    if call == "release" {
        *image = None;
        return Ok(Json::Null);
    }
    let image = image.as_ref().ok_or_else(|| finished("snapshot"))?;
    Ok(match call {
        "epoch" => image.epoch().0.into(),
        "head_log_index" => image.head().0.into(),
        "checkpoint_log_index" => image.checkpoint().0.into(),
        "retained_floor" => image.retained_floor().0.into(),
        "start_cursor" => image.start_cursor().to_string().into(),
        "byte_length" => image.byte_length().into(),
        "generated_at_ms" => image.generated_at_ms().into(),
        "digest" => image.digest().to_string().into(),
        "read" => {
            let mut read = vec![0; args.size(1)];
            image.read_at(&mut read, args.number(0))?;
            bytes(read)
        }
        call => return Err(unknown(call)),
    })
}
