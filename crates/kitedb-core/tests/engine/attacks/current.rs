//! What a reader is told of whether it still shows everything, and what it shows once it was brought up to date.

use super::{
    stage::{Stage, add_many, nothing_said, primary, replica_of},
    support_process::Random,
    support_replication::{Graph, MODES, Machine, digest},
};
use kitedb_core::{Database, Digest, OpenOptions, ReplicationRole, Token, io::Disk};

/// Another process beside those of `machine`.
fn beside(machine: &Machine) -> Machine {
    Machine { disk: machine.disk.process(), host: machine.host.process(), ..machine.clone() }
}

fn look(machine: &Machine) -> Database {
    beside(machine).open(OpenOptions::new().read_only(true)).unwrap()
}

fn shown(db: &Database) -> (Option<Token>, Digest) {
    (db.last_commit_token(), digest(db))
}

/// Writers come, commit, tidy up, go and are killed: no reader is told to be current that an open of now would show more than, and
/// one since whose open nothing happened is told so. One that is brought up to date shows the same, and what was begun on it goes on.
#[test]
fn a_reader_that_is_told_to_be_current_shows_what_an_open_of_now_shows() {
    let (mut current, mut past, mut caught_up) = (0, 0, 0);
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let machine = Machine::new("node", seed, MODES[random.below(3) as usize]);
        let role = [ReplicationRole::Primary, ReplicationRole::Disabled][random.below(2) as usize];
        let mut graph = Graph::new(seed);
        let mut writer = beside(&machine);
        let mut open = Some(writer.open(machine.options(role)).unwrap());
        let mut readers: Vec<Database> = Vec::new();
        for step in 0..30 {
            let act = random.below(9);
            match open.take() {
                None => {
                    writer = beside(&machine);
                    open = Some(writer.open(machine.options(role)).unwrap());
                }
                Some(db) if act == 0 => db.close().unwrap(),
                Some(db) if act == 1 => {
                    writer.disk.kill();
                    drop(db);
                }
                Some(db) => {
                    match act {
                        2 => db.checkpoint().unwrap(),
                        3 => db.compact().unwrap(),
                        4 => db.sync().unwrap(),
                        5 => {}
                        _ => drop(graph.commit(&db)),
                    }
                    open = Some(db);
                }
            }
            let now = look(&machine);
            for reader in &readers {
                let at = format!("seed {seed}, step {step}, act {act}");
                let (is_current, before) = (reader.is_current().unwrap(), (shown(reader), reader.snapshot().unwrap()));
                past += usize::from(!is_current);
                // Some are brought up to date, again and again.
                let refreshed = random.below(2) == 0 && reader.refresh().unwrap();
                caught_up += usize::from(refreshed && !is_current);
                if is_current || refreshed {
                    assert_eq!(shown(reader), shown(&now), "{at}");
                    assert!(reader.is_current().unwrap() && reader.check().unwrap().is_clean(), "{at}");
                }
                assert_eq!(before.0, (Some(before.1.token()).filter(|t| t.log_index.0 > 0), before.1.digest()), "{at}");
            }
            assert!(now.is_current().unwrap(), "seed {seed}, step {step}, act {act}");
            current += readers.iter().filter(|reader| reader.is_current().unwrap()).count();
            readers.insert(0, now);
            readers.truncate(3);
        }
    }
    assert!(current > 500 && past > 500 && caught_up > 200, "{current}, {past} and {caught_up}");
}

/// Somebody puts another file, or nothing, where a reader's was.
#[test]
fn a_reader_whose_file_was_replaced_is_not_current() {
    let machine = Machine::new("node", 1, MODES[0]);
    let mut graph = Graph::new(1);
    let db = machine.open(machine.options(ReplicationRole::Disabled)).unwrap();
    graph.grow(&db, 2);
    db.close().unwrap();
    let reader = look(&machine);
    assert!(reader.is_current().unwrap());
    machine.disk.copy(machine.db(), "/copy.kitedb").unwrap();
    machine.disk.remove(&machine.db()).unwrap();
    reader.is_current().unwrap_err();
    machine.disk.copy("/copy.kitedb", machine.db()).unwrap();
    assert!(!reader.is_current().unwrap());
    assert!(look(&machine).is_current().unwrap());
}

/// Another node takes over beside a process that leads: who reads that one's file shows all that was published, and would not say so.
#[test]
fn a_reader_of_a_node_that_was_fenced_is_not_current() {
    let stage = Stage::new();
    let source = stage.leading("p.kitedb");
    let new = stage.replica("new.kitedb", &source);
    let leader = Database::open(&source, primary()).unwrap();
    add_many(&leader, "more", 1);
    let reader = || Database::open(&source, nothing_said().read_only(true)).unwrap();
    let before = reader();
    add_many(&leader, "yet more", 1);
    assert!(before.refresh().unwrap());
    Database::open(&new, replica_of(&source)).unwrap().replica_promote(false).unwrap();
    assert!(!before.is_current().unwrap() && !before.refresh().unwrap());
    let after = reader();
    assert!(after.is_current().unwrap() && after.refresh().unwrap());
    let fenced = |db: &Database| db.primary_replication_status().unwrap().unwrap().fenced;
    assert!(fenced(&after));
    assert_eq!(shown(&before), shown(&after));
}
