//! What a repair is to do, and how that is told.

use crate::{
    graph::{Epoch, Token},
    log::Fence,
    shell::command,
};
use std::path::Path;

/// A fence that takes the place of one that was lost, or of one whose epoch gave out numbers that are not there.
#[derive(Clone, Copy)]
pub(super) struct NewFence {
    pub fence: Fence,
    /// Nothing that is left tells whether another node moved it.
    pub assumed: bool,
}

/// What is to be done.
pub(super) struct Plan {
    /// The control file is made anew.
    pub anew: bool,
    /// The file takes from its log what it lacks.
    pub forward: bool,
    pub fence: Option<NewFence>,
    /// The epoch that begins, because numbers of the one before come again.
    pub begins: Option<Epoch>,
    /// Nothing is left of the log.
    pub gone: bool,
    /// It, or its file, is a copy, which its operator must say.
    pub copied: bool,
    /// The node that leads in its place: it does not lead beside that one.
    pub leader: Option<String>,
    /// Whoever was registered as a replica is not known any more.
    pub registry_lost: bool,
    pub last: Option<Token>,
}

impl Plan {
    /// Whether it comes out as a primary that does not lead before it is told to.
    pub fn is_fenced(&self) -> bool {
        self.fence.is_some_and(|fence| fence.assumed)
    }

    pub fn steps(&self, path: &Path) -> Vec<String> {
        let mut steps = Vec::new();
        let last = self.last.map_or_else(|| "no commit".to_owned(), |last| last.to_string());
        if self.forward {
            steps.push(format!(
                "let the file take from its log what it lacks, up to {last}: the next open for writing does"
            ));
        }
        match self.anew {
            true if self.gone => steps.push(format!("begin another log after {last}")),
            true => steps.push(format!(
                "make the control file anew from the log, which ends with {last}; put the old one aside"
            )),
            false => {}
        }
        let lead = || match self.copied {
            // What promotes in place refuses a copy.
            true => command("role", path, "primary --moved --force"),
            false => command("primary promote", path, "--force"),
        };
        match (self.fence, self.begins) {
            (Some(NewFence { assumed: true, .. }), _) if self.leader.is_some() => steps.push(format!(
                "leave it fenced: {leader}. Let this one follow that node ({follow}); only if that is gone for good, let this one \
                 lead ({lead}): what was committed there is lost then",
                leader = self.leader.as_deref().unwrap_or_default(),
                follow = command("replica follow", path, "--source-db NEW"),
                lead = lead()
            )),
            (Some(NewFence { assumed: true, .. }), _) => steps.push(format!(
                "leave it fenced: whether another node took over, only the control file knew. If one did, let this one \
                 follow it ({}); if none did, let this one lead ({})",
                command("replica follow", path, "--source-db NEW"),
                lead()
            )),
            (Some(NewFence { fence, .. }), _) if fence.moved_by.is_some() => {
                steps.push(format!("leave it fenced by epoch {}, as its file says", fence.epoch));
            }
            (Some(NewFence { fence, .. }), _) if fence.follows => {
                steps.push("let it follow, as its file says".to_owned());
            }
            (_, Some(epoch)) => {
                steps.push(format!("let it begin epoch {epoch}: the numbers of what is missing come again"));
            }
            (Some(NewFence { fence, .. }), None) if !self.anew => {
                steps.push(format!("let it go on in epoch {}: nobody else moves its fence", fence.epoch));
            }
            _ => {}
        }
        if self.registry_lost {
            steps.push(format!(
                "keep the whole log: who was registered as a replica is not known any more (REGISTRY_LOST). Once all have \
                 reported, say so ({})",
                command("primary retention", path, "--replicas-complete")
            ));
        }
        steps
    }
}
