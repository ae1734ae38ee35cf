//! Another file stands where the file of a node was: its log and control file, which are there still, speak for it.

use super::{stage::*, support::Folder};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

type Impostor = (&'static str, fn(&Path, &Path));

/// What takes the place of the second file; the first one is that of another database.
const IMPOSTORS: [Impostor; 5] = [
    ("another database", |other, path| fs::rename(other, path).unwrap()),
    ("a link to another database", |other, path| symlink(other, path).unwrap()),
    ("a link to itself", |_, path| symlink(path, path).unwrap()),
    ("a link to the restored one", |_, path| symlink("p.kitedb", path).unwrap()),
    ("another name of the restored one", |_, path| fs::hard_link(path.with_file_name("p.kitedb"), path).unwrap()),
];

/// The primary `p`, restored from a backup, and its replica `r`, which leads since, or has more.
fn restored(leads: bool) -> Folder {
    let folder = pair();
    let at = |name: &str| folder.path().join(name);
    let node = ["p.kitedb", "p.kitedb.replication"];
    fs::create_dir(at("saved")).unwrap();
    node.iter().for_each(|name| copy(&at(name), &at("saved")));
    if leads {
        replica(&folder, "promote", "r.kitedb", "p.kitedb").ok();
        import(&folder, "r.kitedb", "new primary K\n", &[]).ok();
    } else {
        import(&folder, "p.kitedb", "c d K\n", &[]).ok();
        catch_up(&folder, "r.kitedb", "p.kitedb").ok();
    }
    fs::remove_file(at("p.kitedb")).unwrap();
    fs::remove_dir_all(at("p.kitedb.replication")).unwrap();
    node.iter().for_each(|name| copy(&at("saved").join(name), folder.path()));
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    folder
}

/// What is at `name` goes aside, and something else takes its place.
fn supplant(folder: &Folder, name: &str, impostor: fn(&Path, &Path)) -> PathBuf {
    let (path, aside) = (folder.path().join(name), folder.path().join("aside"));
    fs::rename(&path, &aside).unwrap();
    impostor(&folder.path().join("other.kitedb"), &path);
    aside
}

#[test]
fn a_restored_primary_does_not_lead_beside_the_log_of_a_replica_whose_file_is_another_one() {
    for (how, impostor) in IMPOSTORS {
        for leads in [true, false] {
            let folder = restored(leads);
            let aside = supplant(&folder, "r.kitedb", impostor);
            let run = folder.run(&["role", "p.kitedb", "primary", "--moved", "--accept-hard-links"]);
            let told = if leads { "r.kitedb leads epoch 2, with the commits up to 2:2" } else { "up to 1:2" };
            let refused = run.code == 1 && run.err.contains("stale primary") && run.err.contains(told);
            assert!(refused, "{how}, leads: {leads}: {run:?}");
            assert!(run.err.contains("by its log in"), "{how}, leads: {leads}: {run:?}");
            assert_eq!(import(&folder, "p.kitedb", "fork K M\n", &["--accept-hard-links"]).code, 1, "{how}");
            // What is told leads out.
            fs::remove_file(folder.path().join("r.kitedb")).unwrap();
            fs::rename(aside, folder.path().join("r.kitedb")).unwrap();
            let commands = changes_in(&run.err);
            assert_eq!(commands.len(), if leads { 2 } else { 3 }, "{how}: {run:?}");
            for command in &commands[..commands.len() - 1] {
                paste(&folder, command).ok();
            }
            assert!(knows(&folder, "p.kitedb", if leads { "new" } else { "c" }), "{how}, leads: {leads}");
        }
    }
}

/// Its control file is another database's, too: the segments are its own.
#[test]
fn a_restored_primary_does_not_lead_beside_the_segments_of_a_replica_that_took_over() {
    let folder = restored(true);
    copy(&folder.path().join("other.kitedb.replication/control"), &folder.path().join("r.kitedb.replication/control"));
    supplant(&folder, "r.kitedb", IMPOSTORS[0].1);
    let run = folder.run(&["role", "p.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("the commits up to 2:2"), "{run:?}");
    // By name it leads, and in no epoch that the other one has.
    let led = folder.run(&["role", "p.kitedb", "primary", "--moved", "--force", "--json"]).json();
    assert!(led["epoch"].as_u64() > Some(2), "{led}");
}

/// The copy is in a folder of its own, and its original's file is a link to it.
#[test]
fn a_copy_does_not_lead_beside_the_log_of_an_original_that_is_a_link_to_it() {
    let folder = pair();
    fs::create_dir(folder.path().join("new")).unwrap();
    for name in ["p.kitedb", "p.kitedb.replication"] {
        copy(&folder.path().join(name), &folder.path().join("new"));
    }
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    supplant(&folder, "p.kitedb", |_, path| symlink("new/p.kitedb", path).unwrap());
    let run = folder.run(&["role", "new/p.kitedb", "primary", "--moved"]);
    assert!(run.code == 1 && run.err.contains("the commits up to 1:2"), "{run:?}");
}

/// What lies in the log of its source is taken to its end and fenced where that is asked for; where not, what is there is told.
#[test]
fn a_promotion_by_force_takes_all_of_the_log_of_a_source_whose_file_is_another_one() {
    for (how, impostor) in &IMPOSTORS[..3] {
        for named in [&[][..], &["--source-db", "p.kitedb"]] {
            if how.ends_with("itself") && !named.is_empty() {
                // Nothing can be named by such a link.
                continue;
            }
            let folder = pair();
            import(&folder, "p.kitedb", "c d K\n", &[]).ok();
            import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
            let aside = supplant(&folder, "p.kitedb", *impostor);
            let run = folder.run(&[&["replica", "promote", "r.kitedb"][..], named].concat());
            assert!(run.code == 1 && run.err.contains("p.kitedb.replication"), "{how}: {run:?}");
            assert!(!run.err.contains("not on its source's history"), "{how}: {run:?}");
            let is_another = how.ends_with("another database");
            assert!(!is_another || run.err.contains("the file of another database"), "{how}: {run:?}");
            let shown = folder.run(&["replica", "status", "r.kitedb"]);
            assert_eq!(shown.code, 3, "{how}: {shown:?}");
            assert!(!is_another || shown.out.contains("the file of another database"), "{how}: {shown:?}");
            let run =
                folder.run(&[&["replica", "promote", "r.kitedb", "--force", "--json"][..], named].concat()).json();
            let told = (run["source_fenced"].as_bool(), run["source_found"].as_bool());
            assert_eq!((told, run["last_kept"].as_str()), ((Some(true), Some(false)), Some("1:2")), "{how}: {run}");
            assert!(knows(&folder, "r.kitedb", "c"), "{how}");
            // Of the other database nothing was touched; the one that was is fenced once it is back.
            fs::remove_file(folder.path().join("p.kitedb")).unwrap();
            fs::rename(&aside, folder.path().join("p.kitedb")).unwrap();
            assert_eq!(import(&folder, "p.kitedb", "e f K\n", &[]).code, 1, "{how}");
            assert_eq!(catch_up(&folder, "p.kitedb", "r.kitedb").json()["applied_epoch"], 1, "{how}");
        }
    }
}

/// A file in the place of a source that is followed is not remembered as the source, nor copied.
#[test]
fn a_replica_does_not_take_a_file_beside_the_log_of_its_source_for_that_one() {
    let folder = pair();
    import(&folder, "p.kitedb", "c d K\n", &[]).ok();
    import(&folder, "other.kitedb", "x y K\n", &["--role", "primary"]).ok();
    let aside = supplant(&folder, "p.kitedb", IMPOSTORS[0].1);
    let run = folder.run(&["replica", "follow", "r.kitedb", "--once"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(knows(&folder, "r.kitedb", "c"), "{run:?}");
    for more in [&[][..], &["--overwrite"]] {
        let run = folder.run(&[&["replica", "reseed", "r.kitedb", "--source-db", "p.kitedb"], more].concat());
        assert!(run.code == 1 && run.err.contains("the file of another database"), "{run:?}");
        assert!(knows(&folder, "r.kitedb", "c") && !knows(&folder, "r.kitedb", "x"));
    }
    fs::rename(&aside, folder.path().join("p.kitedb")).unwrap();
    import(&folder, "p.kitedb", "e f K\n", &[]).ok();
    folder.run(&["replica", "follow", "r.kitedb", "--once"]).ok();
    folder.run(&["replica", "promote", "r.kitedb"]).ok();
    assert!(knows(&folder, "r.kitedb", "e"));
}
