//! A run: what one checkpoint or merge wrote, for ever unchanged. What it says is read table by table: see
//! [`super::tables`].

use super::{
    Damage,
    device::Device,
    meta::{RunMeta, SectionMeta},
    pace::Pace,
    section::Section,
    space::{Extent, Space},
    table::Pool,
    tables::{Tables, require_both},
};
use crate::{error::Result, graph::NameKind};
use std::sync::Arc;

/// A name as a run has it: kind, id, dimension of vectors under it (0: none), text.
pub type RunName = (NameKind, u32, u32, String);

/// An immutable run, mapped for reading. Its space in the file is free once nothing refers to it.
#[derive(Debug, Default)]
pub struct Run {
    pub(super) meta: RunMeta,
    pub(super) tables: Tables,
}

impl Run {
    /// Maps the run that the manifest of `generation` describes as `meta`, and whose extents are inside the file.
    pub(super) fn open(space: &Arc<Space>, device: &Device, meta: &RunMeta, generation: u64) -> Result<Arc<Self>> {
        let open = |section: &SectionMeta| {
            let lease = space.adopt(Extent::holding(section.offset, section.stored_len()), generation);
            Section::open(device, section.clone(), lease)
        };
        Self::assemble(meta, meta.sections.iter().map(open).collect::<Result<_>>()?)
    }

    /// The run that `meta` describes, made of its sections, wherever they lie now.
    pub(super) fn assemble(meta: &RunMeta, sections: Vec<Section>) -> Result<Arc<Self>> {
        let places = sections.iter().map(|section| section.meta().clone()).collect();
        let mut pool = Pool(sections);
        let tables = Tables::open(meta, &mut pool)?;
        require_both(&tables)?;
        match pool.0.first() {
            None => Ok(Arc::new(Self { meta: RunMeta { sections: places, ..meta.clone() }, tables })),
            Some(section) => Err(section.inconsistent("it belongs to no table")),
        }
    }

    /// Bytes that it takes in the file.
    pub fn bytes(&self) -> u64 {
        self.meta.sections.iter().map(|section| Extent::holding(section.offset, section.stored_len()).len).sum()
    }

    /// How the manifest describes it.
    pub fn meta(&self) -> &RunMeta {
        &self.meta
    }

    /// Reads every block and adds the ranges that do not verify. `pace` is called with the length of each piece.
    pub fn verify(&self, damage: &mut Vec<Damage>, pace: &mut Pace<'_>) -> Result<()> {
        self.sections().try_for_each(|section| section.verify(damage, pace))
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = &Section> {
        self.tables.all().flat_map(|table| table.sections())
    }

    /// The header of `generation` names this run, or will.
    pub(super) fn named_by(&self, generation: u64) {
        self.sections().for_each(|section| section.lease().named_by(generation));
    }
}

/// The runs of one state, oldest first.
#[derive(Debug, Default)]
pub struct Runs {
    list: Vec<Arc<Run>>,
    /// Asked once, so that reading of runs without ranks need not ask each.
    ranked: bool,
}

impl Runs {
    /// Whether an edge of any of them has another rank than 0.
    #[inline(always)]
    pub fn has_ranks(&self) -> bool {
        self.ranked
    }
}

impl From<Vec<Arc<Run>>> for Runs {
    fn from(list: Vec<Arc<Run>>) -> Self {
        Self { ranked: list.iter().any(|run| run.has_ranks()), list }
    }
}

impl std::ops::Deref for Runs {
    type Target = [Arc<Run>];

    #[inline(always)]
    fn deref(&self) -> &[Arc<Run>] {
        &self.list
    }
}
