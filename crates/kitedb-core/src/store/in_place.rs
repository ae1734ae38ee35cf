//! Whether an open file is still what its process has open. Others than KiteDB can remove it, put another one under its name, cut it,
//! or write over it (`cp` onto it does): what its process then writes would be lost, or destroy what was put there.

use super::{
    device::Device,
    header::{ManifestExtent, Slot, choose, read_slots},
};
use crate::error::{Error, ErrorCode, Result};

/// What the process knows of the header that counts.
#[derive(Debug)]
pub(super) struct Named {
    /// Where it is, if nobody but this process writes headers.
    pub slot: Option<usize>,
    pub file_id: [u8; 16],
    pub generation: u64,
    pub manifest: ManifestExtent,
    /// Where the last of what it names ends.
    pub end: u64,
}

/// Fails if the file has no name any more, ends too early, or has another header. One `fstat` for each of the first two, and one
/// read of each slot. Upholds I45.
pub(super) fn require_in_place(device: &Device, named: &Named) -> Result<()> {
    let path = device.path.display();
    if device.file.links().map_err(|error| device.error("look at", error))? == 0 {
        let what = format_args!(
            "{path} was removed, or another file was put in its place, while it was open: what is committed here is not in the \
             file that is there now"
        );
        return Err(Error::new(ErrorCode::NotFound, what).with_path(&device.path));
    }
    let len = device.len()?;
    if len < named.end {
        let what = format_args!(
            "{path} was cut while it was open: it has {len} bytes, and what it holds ends at {}. {PUT_BACK}",
            named.end
        );
        return Err(Error::corrupt(what).with_path(&device.path));
    }
    let slots = read_slots(device)?;
    let is_it = match named.slot {
        Some(number) => matches!(&slots[number], Ok(slot) if is_named(slot, named)),
        // Whoever writes the file goes on to newer headers, and may make it another file.
        None => choose(slots, device).is_ok_and(|(_, slot)| slot.generation >= named.generation),
    };
    if is_it {
        return Ok(());
    }
    let what = format_args!("{path} was written over by something else while it was open. {PUT_BACK}");
    Err(Error::corrupt(what).with_path(&device.path))
}

const PUT_BACK: &str =
    "Close the database, and put back the newest copy of the file that there is: the log has what it lacks";

fn is_named(slot: &Slot, named: &Named) -> bool {
    (slot.file_id, slot.generation, slot.manifest) == (named.file_id, named.generation, named.manifest)
}
