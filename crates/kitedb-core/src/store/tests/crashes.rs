//! A crash at any operation leaves the state before or after the one that was under way.

use super::{
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::io::sim::{Crash, Loss};

/// Creates a database and publishes five times; returns what each acknowledged state shows.
fn work(disk: &SimDisk, contents: &[Contents], acknowledged: &mut usize) -> Result<()> {
    let store = Store::create(&env(disk), Path::new(PATH), [7; 16], Manifest::default(), link::Part::Unsaid)?;
    *acknowledged = 1;
    let mut runs = Vec::new();
    for (number, run) in contents.iter().enumerate() {
        // Every other time a run replaces the others, so that space is freed and reused.
        if number % 2 == 0 {
            runs.clear();
        }
        runs.push(run.write(&store)?);
        let log = LogLink { id: [number as u8; 16], ..LogLink::default() };
        store.publish_with_log(
            Manifest { next_node_id: number as u64 + 1, ..Manifest::default() },
            runs.clone(),
            log.clone(),
        )?;
        *acknowledged = number + 2;
        store.mark_log(LogLink { open: true, ..log })?;
    }
    Ok(())
}

#[test]
fn a_crash_anywhere_leaves_the_last_acknowledged_state_or_the_next() {
    let mut chance = Chance(9);
    let palette = Palette::new(&mut chance, 0);
    let contents: Vec<_> = (0..5).map(|_| Visible::default().next_run(&mut chance, &palette, 60)).collect();
    let quiet = SimDisk::new(0);
    work(&quiet, &contents, &mut 0).unwrap();
    for op in 1..=quiet.ops() {
        for crash in [Crash::Kill, Crash::PowerLoss(Loss::Random), Crash::PowerLoss(Loss::LoseAllUnsynced)] {
            let disk = SimDisk::new(op);
            disk.crash_at(op);
            let mut acknowledged = 0;
            let _ = work(&disk, &contents, &mut acknowledged);
            assert_eq!(disk.violations(), Vec::<String>::new());
            let disk = disk.restart(crash);
            let store = match open(&disk, true) {
                Ok(store) => store,
                Err(error) => {
                    assert_eq!((error.code(), acknowledged), (ErrorCode::NotFound, 0), "{op} {crash:?}: {error}");
                    create(&disk)
                }
            };
            let shown = store.manifest().next_node_id as usize + 1;
            assert!(shown == acknowledged || shown == acknowledged + 1 || acknowledged == 0, "{op} {crash:?}: {shown}");
            let damage = store.verify(&mut |_| Ok(())).unwrap();
            assert!(damage.iter().all(|damage| damage.what.contains("header slot")), "{op} {crash:?}: {damage:?}");
            if let Some(last) = shown.checked_sub(2) {
                let runs = store.runs();
                assert_eq!(Contents::read(runs.last().unwrap()).unwrap(), contents[last]);
            }
            // And it can be written to.
            publish(&store, vec![contents[0].write(&store).unwrap()]).unwrap();
            assert_eq!(store.verify(&mut |_| Ok(())).unwrap(), vec![], "{op} {crash:?}");
        }
    }
}
