//! The registry of the tables of a run: which there are, under which number, in which shape, and in which order they are
//! written. One file of this folder says all the rest of a table: what its rows hold, how it is bounded before it is
//! written, how the changes of a checkpoint and the rows of a merge go into it, how it is read, and how it is checked.
//!
//! A new table is such a file, a line in `each_table!` (which gives it its number), one in `tables!`, and one in `stages!`
//! unless an older stage writes it along. Tables
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
    changes::Changes,
    dense::Dense,
    merge::Merge,
    meta::RunMeta,
    parts::{Blob, Lists},
    run::Run,
    run_bounds::RunBounds,
    run_writer::RunWriter,
    section_writer::Sink,
    shape::Shape,
    table::Pool,
    table_kind::TableKind,
};
use crate::error::Result;

/// What is written at once, while the rows of one pass stream by: one table, or one and what goes along with its rows.
/// Memory for buffers is held for one stage at a time.
pub(super) trait Stage: Ordinal {
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
pub(super) trait Ordinal: Sized {
    /// Its number, from 1 on.
    const NUMBER: u8;

    /// The stage itself, if it is the one that is being written.
    fn of(writing: &mut Writing) -> Option<&mut Self>;
}

macro_rules! tables {
    ($($(#[$doc:meta])* $kind:ident: $field:ident, $shape:ty;)*) => {
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

        /// Does not compile unless every kind has its table.
        const _: fn(TableKind) = |kind| match kind {
            $(TableKind::$kind => {})*
        };
    };
}

// In the order in which the manifest lists them.
tables! {
    /// A plain blob.
    Names: names, names::Names;
    /// Records, and the index of their keys.
    Nodes: nodes, nodes::Nodes;
    /// Property lists.
    EdgeProps: edge_props, Blob;
    /// Entries and floats.
    Vectors: vectors, Blob;
    /// By source.
    Out: out, Lists;
    /// By destination.
    In: into, Lists;
    /// By label.
    Labels: labels, Lists;
    /// Of `out`.
    OutRanks: out_ranks, Blob;
    /// Of `into`.
    InRanks: in_ranks, Blob;
    /// Copies of properties.
    Columns: columns, Dense;
    /// In place of entries of `vectors`.
    AlignedVectors: aligned, Dense;
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

            /// [`Ordinal::NUMBER`] of the stage.
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

        $(impl Ordinal for $writer {
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
