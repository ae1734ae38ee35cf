//! Writes a run, streaming: stage by stage in the order of the registry ([`super::tables`]), the rows of each in ascending
//! order, and each optional.

use super::{
    meta::RunMeta,
    pace::Pace,
    row::impossible,
    run::Run,
    run_bounds::RunBounds,
    section_writer::Sink,
    space::Space,
    tables::{Stage, Writing},
};
use crate::error::{Error, Result};
use std::sync::Arc;

/// A run being written. Dropping it unfinished frees its space.
pub struct RunWriter<'a> {
    sink: Sink<'a>,
    pub(super) bounds: RunBounds,
    writing: Writing,
    pub(super) run: Run,
}

impl<'a> RunWriter<'a> {
    pub(super) fn new(space: Arc<Space>, bounds: &RunBounds, pace: &'a mut Pace<'a>) -> Self {
        let sink = Sink::new(space, pace);
        Self { sink, bounds: *bounds, writing: Writing::Nothing, run: Run::default() }
    }

    /// Goes on to stage `S`, and hands out what a row of it takes.
    #[inline(always)]
    pub(super) fn at<S: Stage>(&mut self) -> Result<(&mut S, &mut Sink<'a>, &mut RunMeta)> {
        self.advance(S::NUMBER)?;
        match S::of(&mut self.writing) {
            Some(stage) => Ok((stage, &mut self.sink, &mut self.run.meta)),
            None => Err(out_of_order(S::ROW)),
        }
    }

    /// Finishes stages until the one with `number` is reached. From here on the run can be asked for what they wrote.
    #[inline(always)]
    pub(super) fn advance(&mut self, number: u8) -> Result<()> {
        while self.writing.number() < number {
            self.next_stage()?;
        }
        Ok(())
    }

    #[cold]
    fn next_stage(&mut self) -> Result<()> {
        let next = self.writing.number() + 1;
        std::mem::replace(&mut self.writing, Writing::Done).finish(&mut self.sink, &mut self.run)?;
        self.writing = Writing::begin(next, &self.sink, &self.bounds, &self.run)?;
        Ok(())
    }

    /// Writes what remains and syncs. The run is not part of the database until it is published.
    pub fn finish(mut self) -> Result<Arc<Run>> {
        self.advance(Writing::DONE)?;
        self.sink.sync()?;
        let mut run = self.run;
        let tables = run.tables.all().filter_map(|table| table.meta()).cloned().collect();
        let sections = run.sections().map(|section| section.meta().clone()).collect();
        run.meta = RunMeta { tables, sections, ..run.meta };
        Ok(Arc::new(run))
    }
}

#[cold]
pub(super) fn out_of_order(what: &str) -> Error {
    impossible(format_args!("a run got a {what} that its bounds did not announce, or out of order"))
}
