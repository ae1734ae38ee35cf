//! What the tests of this crate call, and nobody else: no part of the interface, and not kept from one version to the next.

pub use crate::db::definitions_for_testing::DefineIndexes;
