//! What the contents of a table are made of.

use super::{
    meta::{RunMeta, TableMeta},
    section::Section,
    table::Pool,
    table_kind::TableKind,
};
use crate::error::Result;

/// See the [module documentation](self).
pub(super) trait Shape {
    /// Takes the sections of table `kind` out of `pool`. `None`: the run that `meta` describes has no such table.
    fn open(meta: &RunMeta, kind: TableKind, pool: &mut Pool) -> Result<Option<Self>>
    where
        Self: Sized;

    /// How the manifest describes it; `None`: by its sections alone.
    fn meta(&self) -> Option<&TableMeta>;

    /// Its sections, in the order in which the manifest lists them.
    fn sections(&self) -> Vec<&Section>;
}
