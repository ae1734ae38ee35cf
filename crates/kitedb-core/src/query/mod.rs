//! Floor 5: questions about more than one hop: what can be reached, paths, components, ranking.
//!
//! Each is asked of a [`View`](crate::View) or a [`Transaction`](crate::Transaction), along [`Steps`]: which edges are followed, and
//! through which nodes. What may be much comes as an iterator; [`Limits`] bound memory and time.
//!
//! | question | |
//! |---|---|
//! | [`Reach`] | which nodes are within so many steps, nearest first |
//! | [`Walks`] | every way of so many steps, as paths |
//! | [`shortest_path`], [`ShortestPaths`] | a path of the fewest edges; all of them |
//! | [`lightest_path`], [`lightest_path_by_estimate`], [`LightestPaths`] | a path of the least weight, to one of several nodes; the k lightest |
//! | [`Projection`] | a part of the graph in memory, for what reads all of it: components, PageRank, triangles, degrees |
//!
//! ```
//! use kitedb_core::{Database, OpenOptions, query::{Limits, Reach, Steps, shortest_path}};
//! # fn main() -> kitedb_core::Result<()> {
//! # let dir = tempfile::tempdir().unwrap();
//! let db = Database::open(dir.path().join("social.kitedb"), OpenOptions::new())?;
//! let [ada, mary, byron] = db.transaction(|tx| {
//!     let all = [tx.create_node(Some("ada"))?, tx.create_node(Some("mary"))?, tx.create_node(Some("byron"))?];
//!     tx.add_edge(all[0], "KNOWS", all[1])?;
//!     tx.add_edge(all[1], "KNOWS", all[2])?;
//!     Ok(all)
//! })?;
//! let view = db.snapshot()?;
//! let knows = Steps::out().of_type("KNOWS");
//! let near: Vec<_> = Reach::from(&view, [ada], &knows, &Limits::new())?.depth(1).collect::<Result<_, _>>()?;
//! assert_eq!(near.iter().map(|found| found.node).collect::<Vec<_>>(), [ada, mary]);
//! let path = shortest_path(&view, ada, byron, &knows, &Limits::new())?.unwrap();
//! assert_eq!(path.nodes(), [ada, mary, byron]);
//! # Ok(())
//! # }
//! ```

/// Each item is the next that `advance` finds, until it finds none or fails.
macro_rules! ends_with_its_error {
    ($name:ident gives $item:ty) => {
        impl Iterator for $name<'_, '_> {
            type Item = Result<$item>;

            fn next(&mut self) -> Option<Self::Item> {
                if self.failed {
                    return None;
                }
                let found = self.advance().transpose();
                self.failed = matches!(found, Some(Err(_)));
                found
            }
        }
    };
}

mod budget;
mod components;
mod page_rank;
mod path;
mod projection;
mod reach;
mod shortest;
mod steps;
mod table;
mod triangles;
mod walks;
mod weighted;
mod yen;

pub use budget::Limits;
pub use components::Components;
pub use page_rank::PageRank;
pub use path::Path;
pub use projection::Projection;
pub use reach::{Reach, Reached};
pub use shortest::{ShortestPaths, shortest_path};
pub use steps::{Steps, Way};
pub use walks::{Unique, Walks};
pub use weighted::{Weight, lightest_path, lightest_path_by_estimate};
pub use yen::LightestPaths;
