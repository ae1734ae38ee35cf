//! The image of a file is a file.

use super::{
    model::{Chance, Contents, Palette, Visible},
    *,
};
use crate::{Database, OpenOptions};
use proptest::prelude::*;

const COPY: &str = "/copy.kitedb";

/// The image, read in pieces of `piece` bytes.
fn read_in_pieces(image: &StoreImage, piece: usize) -> Vec<u8> {
    // What was there before must not show through.
    let mut bytes = vec![0xab; image.image_len() as usize];
    let mut at = 0;
    for piece in bytes.chunks_mut(piece) {
        image.read_image(piece, at).unwrap();
        at += piece.len() as u64;
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_bytes_of_an_image_are_a_database_file_of_their_own(
        seed: u64, shape: u8, edits in 0u64..2000, rounds in 1usize..5, piece in 1usize..100_000,
    ) {
        let disk = SimDisk::new(seed);
        let store = create(&disk);
        let mut chance = Chance(seed);
        let palette = Palette::new(&mut chance, shape);
        let mut contents = Contents::default();
        for _ in 0..rounds {
            // Each round replaces the one before, and leaves holes.
            contents = Visible::default().next_run(&mut chance, &palette, edits);
            publish(&store, vec![contents.write(&store).unwrap()]).unwrap();
        }
        store.mark_log(LogLink { id: [3; 16], kind: LogKind::Private, open: true, ..LogLink::default() }).unwrap();

        let reader = open(&disk, false).unwrap();
        let bytes = read_in_pieces(&reader.image(), piece.max(700));
        prop_assert_eq!(&bytes, &read_in_pieces(&store.image(), 1 << 20));
        disk.write(COPY, &bytes).unwrap();
        let copy = Store::open(&env(&disk), Path::new(COPY), true).unwrap();
        prop_assert_eq!(copy.verify(&mut |_| Ok(())).unwrap(), vec![]);
        prop_assert_eq!((copy.file_id(), copy.log_link()), (store.file_id(), LogLink::default()));
        prop_assert_eq!(&copy.manifest(), &store.manifest());
        prop_assert_eq!(&Contents::read(&copy.runs()[0]).unwrap(), &contents);
        // All that does not count is zeros: without it nothing is missing.
        let sections = store.runs().iter().map(|run| run.bytes()).sum::<u64>() as usize;
        prop_assert!(bytes.iter().filter(|byte| **byte != 0).count() <= sections + 4096 + 1024);
        publish(&copy, vec![contents.write(&copy).unwrap()]).unwrap();
        prop_assert_eq!(copy.verify(&mut |_| Ok(())).unwrap(), vec![]);
    }
}

#[test]
fn a_database_opens_from_the_bytes_of_an_image_of_it() {
    let disk = SimDisk::new(1);
    let db = Database::open_in(env(&disk), PATH, OpenOptions::new()).unwrap();
    let fill = |from: u64| {
        db.transaction(|tx| -> Result<_> {
            for at in from..from + 500 {
                let node = tx.create_node(Some(&format!("node {at}")))?;
                tx.set_node_prop(node, "number", at as i64)?;
                tx.add_node_label(node, "Thing")?;
                tx.add_edge(node, "SELF", node)?;
            }
            Ok(())
        })
        .unwrap();
    };
    fill(0);
    db.checkpoint().unwrap();
    fill(500);
    db.checkpoint().unwrap();
    let shown = db.snapshot().unwrap();
    // Beside the writer, whose log goes on.
    fill(1000);
    let reader = open(&disk, false).unwrap();
    assert!(reader.log_link().open);
    disk.write(COPY, &read_in_pieces(&reader.image(), 1 << 20)).unwrap();

    let copy = Database::open_in(env(&disk), COPY, OpenOptions::new()).unwrap();
    let report = copy.check().unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!((report.nodes, report.edges, report.digest), (1000, 1000, shown.digest()));
    copy.transaction(|tx| tx.create_node(Some("one more")).map(drop)).unwrap();
    copy.close().unwrap();
}

#[test]
fn what_lies_outside_an_image_cannot_be_read() {
    let disk = SimDisk::new(2);
    let image = create(&disk).image();
    let len = image.image_len();
    image.read_image(&mut [0; 10], len - 10).unwrap();
    for (bytes, at) in [(11, len - 10), (1, len), (1, u64::MAX)] {
        let refused = image.read_image(&mut vec![0; bytes], at).unwrap_err();
        assert_eq!(refused.code(), ErrorCode::InvalidArgument);
    }
}
