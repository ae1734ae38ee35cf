//! The registry of the tables of a run: which there are, under which number, in which shape, and in which order they are
//! written. One file of this folder says all the rest of a table: what its rows hold, how it is bounded before it is
//! written, how the changes of a checkpoint and the rows of a merge go into it, how it is read, and how it is checked.
//!
//! A new table is such a file, a line in `tables!`, and a line in `stages!` unless an older stage writes it along. Tables
//! that follow from others of their run (an index, a column) are written once those are: see how `nodes` builds its key
//! index.
//!
//! Reads that have to be fast go straight to a field of [`Tables`]; only what concerns every table alike (opening, writing,
//! merging, checking) goes through [`Shape`] and [`Stage`].

mod adjacency;
mod aligned;
mod columns;
mod edge_props;
mod into;
mod labels;
mod names;
mod nodes;
mod out;
mod ranks;
mod vectors;

pub use adjacency::EdgeSum;
pub use aligned::Plan as VectorPlan;
pub use ranks::Ranks;
pub(super) use ranks::require_both;

use super::{
    bounds::TableBounds,
    changes::Changes,
    dense::Dense,
    keys::KeySlots,
    merge::Merge,
    meta::{RunMeta, TableMeta, UnknownNumber},
    parts::{Blob, Lists},
    run::Run,
    run_writer::RunWriter,
    section::Section,
    section_writer::Sink,
    table::Pool,
};
use crate::error::Result;

/// What the contents of a table are made of.
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

/// What is written at once, while the rows of one pass stream by: one table, or one and what goes along with its rows.
/// Memory for buffers is held for one stage at a time.
pub(super) trait Stage: Place {
    /// What a row is called where one is refused.
    const ROW: &'static str;

    /// Begins to write within `bounds`. The stages before are finished: `run` has their tables.
    fn begin(sink: &Sink<'_>, bounds: &RunBounds, run: &Run) -> Result<Self>;

    /// Writes what remains, and puts the tables into `run`.
    fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()>;

    /// Takes into account what `changes` will write.
    fn measure(changes: &Changes<'_>, bounds: &mut RunBounds);

    /// Writes what a checkpoint gathered.
    fn write(changes: &Changes<'_>, writer: &mut RunWriter<'_>) -> Result<()>;

    /// Finds out what a merge will write, where the sums of the runs' bounds are too wide. The stages before are written.
    fn plan(_merge: &mut Merge<'_>, _writer: &mut RunWriter<'_>) -> Result<()> {
        Ok(())
    }

    /// Writes what the runs of a merge say together.
    fn merge(merge: &mut Merge<'_>, writer: &mut RunWriter<'_>) -> Result<()>;

    /// Looks, beyond checksums, whether the tables fit the other ones of their own run. What only several runs together
    /// can show, a check of the whole graph finds.
    fn check(_run: &Run) -> Result<()> {
        Ok(())
    }
}

/// The place of a stage in the order of writing, which `stages!` knows.
pub(super) trait Place: Sized {
    /// Its number, from 1 on.
    const NUMBER: u8;

    /// The stage itself, if it is the one that is being written.
    fn of(writing: &mut Writing) -> Option<&mut Self>;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $kind:ident = $number:literal: $field:ident, $shape:ty, $items:literal;)*) => {
        /// What a table holds. Stored numbers: never change one, only add.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum TableKind { $($(#[$doc])* $kind = $number,)* }

        impl TableKind {
            /// The table with that stored number.
            pub(super) fn from_number(number: u8) -> Result<Self, UnknownNumber> {
                match number {
                    $($number => Ok(Self::$kind),)*
                    _ => Err(UnknownNumber { what: "table", number }),
                }
            }
        }

        /// The tables of a run, those that it has.
        #[derive(Debug, Default)]
        pub(super) struct Tables { $($(#[$doc])* pub $field: Option<$shape>,)* }

        impl Tables {
            /// Takes the tables of the run that `meta` describes out of `pool`.
            pub fn open(meta: &RunMeta, pool: &mut Pool) -> Result<Self> {
                Ok(Self { $($field: <$shape>::open(meta, TableKind::$kind, pool)?,)* })
            }

            /// Each table that there is.
            pub fn all(&self) -> impl Iterator<Item = &dyn Shape> {
                [$(self.$field.as_ref().map(|table| table as &dyn Shape),)*].into_iter().flatten()
            }
        }

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

// In the order in which the manifest lists them.
tables! {
    /// Names of labels, edge types and property keys; a plain blob.
    Names = 0: names, names::Names, "Names; items are bytes of their texts. `first` and `last` do not count.";
    /// Node id to record, and the index of their keys.
    Nodes = 1: nodes, nodes::Nodes, "Node records, dead ones too; items are bytes of records.";
    /// Number of an entry of `out` to properties.
    EdgeProps = 4: edge_props, Blob,
        "Edges with properties; items are bytes of property lists. `first` and `last` do not count.";
    /// Node id to vectors.
    Vectors = 6: vectors, Blob,
        "Nodes with vector entries; items are bytes of [`TableBounds::VECTOR_ENTRY`] and floats for each entry.";
    /// Source to edges.
    Out = 2: out, Lists, "Sources; items are entries.";
    /// Destination to edges.
    In = 3: into, Lists, "Destinations; items are entries.";
    /// Label id to members.
    Labels = 5: labels, Lists, "Labels; items are entries.";
    /// Number of an entry of `out` to its rank, where that is not 0.
    OutRanks = 7: out_ranks, Blob, "Edges with a rank; items are bytes of ranks. `first` and `last` do not count.";
    /// Number of an entry of `into` to its rank, where that is not 0.
    InRanks = 8: in_ranks, Blob, "Edges with a rank; items are bytes of ranks. `first` and `last` do not count.";
    /// Property key and kind to the values of nodes: copies, for scans.
    Columns = 9: columns, Dense, "Does not count: what nodes have decides.";
    /// Property key to the vectors of nodes.
    AlignedVectors = 10: aligned, Dense, "Does not count: which vectors lie here is decided beforehand.";
}

macro_rules! stages {
    ($($number:literal: $name:ident, $writer:ty;)*) => {
        /// Which stage is being written.
        pub(super) enum Writing {
            /// None yet.
            Nothing,
            $(#[doc = stringify!($name)] $name(Box<$writer>),)*
            /// None any more.
            Done,
        }

        impl Writing {
            /// The number of [`Writing::Done`].
            pub const DONE: u8 = [$($number),*].len() as u8 + 1;

            /// [`Place::NUMBER`] of the stage.
            #[inline(always)]
            pub fn number(&self) -> u8 {
                match self {
                    Self::Nothing => 0,
                    $(Self::$name(_) => $number,)*
                    Self::Done => Self::DONE,
                }
            }

            /// Finishes this stage.
            pub fn finish(self, sink: &mut Sink<'_>, run: &mut Run) -> Result<()> {
                match self {
                    $(Self::$name(stage) => stage.finish(sink, run),)*
                    Self::Nothing | Self::Done => Ok(()),
                }
            }

            /// Begins the stage with `number`.
            pub fn begin(number: u8, sink: &Sink<'_>, bounds: &RunBounds, run: &Run) -> Result<Self> {
                Ok(match number {
                    $($number => Self::$name(Box::new(<$writer>::begin(sink, bounds, run)?)),)*
                    _ => Self::Done,
                })
            }
        }

        $(impl Place for $writer {
            const NUMBER: u8 = $number;

            #[inline(always)]
            fn of(writing: &mut Writing) -> Option<&mut Self> {
                match writing {
                    Writing::$name(stage) => Some(stage),
                    _ => None,
                }
            }
        })*

        impl Changes<'_> {
            /// The bounds of the run that they make.
            pub fn bounds(&self) -> RunBounds {
                let mut bounds = RunBounds::default();
                $(<$writer>::measure(self, &mut bounds);)*
                bounds
            }

            /// Writes every stage in turn.
            pub(super) fn write_to(&self, writer: &mut RunWriter<'_>) -> Result<()> {
                $(<$writer>::write(self, writer)?;)*
                Ok(())
            }
        }

        impl Merge<'_> {
            /// Writes every stage in turn.
            pub(super) fn write_to(&mut self, writer: &mut RunWriter<'_>) -> Result<()> {
                $(
                    <$writer>::plan(self, writer)?;
                    writer.advance($number)?;
                    <$writer>::merge(self, writer)?;
                )*
                Ok(())
            }
        }

        impl Run {
            /// Looks, beyond checksums, whether what its tables say fits together. Reads all that this takes.
            pub fn check(&self) -> Result<()> {
                $(<$writer>::check(self)?;)*
                Ok(())
            }
        }
    };
}

// In the order in which they are written.
stages! {
    1: Names, names::Writer;
    2: Nodes, nodes::Writer;
    3: Out, out::Writer;
    4: In, into::Writer;
    5: Labels, labels::Writer;
    6: Vectors, vectors::Writer;
    7: Aligned, aligned::Writer;
}
