//! Bounds of a run that is to be written.

use super::{
    bounds::TableBounds,
    keys::KeySlots,
    meta::RunMeta,
    table_kind::{TableKind, each_table},
};

macro_rules! run_bounds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal: $field:ident, $items:literal;)*) => {
        /// What is known of a run before it is written: bounds of its tables, exact for a checkpoint, sums for a merge.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub struct RunBounds {
            $(#[doc = $items] pub $field: TableBounds,)*
            /// The greatest node id, other ends of edges included.
            pub max_node_id: u64,
            /// The greatest edge type id.
            pub max_type_id: u32,
            /// Which slots the index of keys gets.
            pub key_slots: KeySlots,
        }

        impl RunBounds {
            /// The bounds of what a merge of these runs gives.
            pub fn of_merge<'a>(runs: impl IntoIterator<Item = &'a RunMeta>) -> Self {
                let mut sum = Self::default();
                for run in runs {
                    $(sum.$field.join(TableBounds::of(run, TableKind::$kind));)*
                    sum.max_node_id = sum.max_node_id.max(run.max_node_id);
                    sum.max_type_id = sum.max_type_id.max(run.max_type_id);
                }
                sum
            }
        }
    };
}

each_table!(run_bounds);
