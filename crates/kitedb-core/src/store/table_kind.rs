//! Which tables a run may have, and the number that each has in the file: one list, from which the rest of the store takes
//! them.

/// Calls the macro `$with` with all tables: documentation, name, stored number, field, and what counts in its bounds.
macro_rules! each_table {
    ($with:ident) => {
        $with! {
            /// Names of labels, edge types and property keys; a plain blob.
            Names = 0: names, "Names; items are bytes of their texts. `first` and `last` do not count.";
            /// Node id to record, and the index of their keys.
            Nodes = 1: nodes, "Node records, dead ones too; items are bytes of records.";
            /// Number of an entry of `out` to properties.
            EdgeProps = 4: edge_props,
                "Edges with properties; items are bytes of property lists. `first` and `last` do not count.";
            /// Node id to vectors.
            Vectors = 6: vectors,
                "Nodes with vector entries; items are bytes of [`TableBounds::VECTOR_ENTRY`] and floats for each entry.";
            /// Source to edges.
            Out = 2: out, "Sources; items are entries.";
            /// Destination to edges.
            In = 3: into, "Destinations; items are entries.";
            /// Label id to members.
            Labels = 5: labels, "Labels; items are entries.";
            /// Number of an entry of `out` to its rank, where that is not 0.
            OutRanks = 7: out_ranks,
                "Edges with a rank; items are bytes of ranks. `first` and `last` do not count.";
            /// Number of an entry of `into` to its rank, where that is not 0.
            InRanks = 8: in_ranks,
                "Edges with a rank; items are bytes of ranks. `first` and `last` do not count.";
            /// Property key and kind to the values of nodes: copies, for scans.
            Columns = 9: columns, "Does not count: what nodes have decides.";
            /// Property key to the vectors of nodes.
            AlignedVectors = 10: aligned, "Does not count: which vectors lie here is decided beforehand.";
        }
    };
}
pub(super) use each_table;

/// A stored number that this build gives no meaning to: of a newer build, or damaged under a good checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownNumber {
    /// What the number is one of.
    pub what: &'static str,
    /// The number.
    pub number: u8,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal: $field:ident, $items:literal;)*) => {
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
    };
}

each_table!(kinds);
