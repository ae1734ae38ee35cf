//! A fence that is older than what its file's header says of who leads, and one whose promotion was not completed.

use crate::{
    graph::Epoch,
    log::{Control, Fence, WriterId},
    shell::Command,
    store::{LogLink, Part},
};

/// The fence in place of one that is older than what `link`, its file's header, says, and whether it is assumed: since then
/// another node may have taken over, or this one followed it, and the control file that knew is not this one. Who moved an
/// assumed one is called `promotion`.
pub(crate) fn fence_by_header(
    control: &Control,
    fence: &Fence,
    link: &LogLink,
    promotion: WriterId,
) -> Option<(Fence, bool)> {
    let leads = !fence.follows && fence.moved_by.is_none();
    let (tail, _) = link.clean_tail.unwrap_or_default();
    match link.part {
        // Whoever follows, and leads then, begins an epoch above all that it followed; its header may say that one already.
        Part::Follows(epoch) if leads && fence.epoch < epoch => {
            Some((Fence { follows: true, ..Fence::new(epoch) }, false))
        }
        Part::Leads(epoch) | Part::Fenced { by: epoch, .. } => {
            // Also of one from its days as a replica: whoever led, and follows now, knows an epoch as late as that one.
            let earlier = fence.epoch < epoch;
            // A close leaves all that the file holds published.
            let behind = leads && !link.open && control.current_log().log_id == link.id && control.published() < tail;
            (earlier || behind).then(|| {
                let epoch = Epoch(epoch.max(fence.epoch).0 + 1);
                // All that is in the log counts.
                (Fence { epoch, moved_by: Some(promotion), follows: false, ..*fence }, true)
            })
        }
        Part::Follows(_) | Part::Unsaid | Part::StandAlone => None,
    }
}

/// What is so where the promotion `begun`, in hexadecimal digits, moved a primary's fence and did not say where its epoch ends, and what to do. `lead`: the
/// command by which the primary takes the lead back. Errors, status, health and metrics say this, and nothing else. None
/// of them looks at other nodes: who promotes does.
pub(crate) fn not_completed(begun: &str, lead: &Command) -> String {
    format!(
        "promotion {begun} was begun and not completed, and nobody leads by it: complete it (promote the replica that began it), or \
         take the lead back ({lead}); where another node leads by now, follow that one"
    )
}
