//! What of a file is in use, by its manifest.

use super::{
    Damage,
    header::ManifestExtent,
    manifest::Manifest,
    space::{Extent, FIRST},
};

/// What a manifest says is in use, itself included if its place is known: name, offset, bytes; ascending.
pub(super) fn live_extents(manifest: &Manifest, place: Option<&ManifestExtent>) -> Vec<(String, u64, u64)> {
    let sections = manifest.runs.iter().flat_map(|run| &run.sections);
    let mut live: Vec<_> = sections.map(|meta| (meta.id.to_string(), meta.offset, meta.stored_len())).collect();
    live.extend(place.map(|place| ("the manifest".to_owned(), place.offset, place.len)));
    live.sort_by_key(|(_, offset, _)| *offset);
    live
}

/// What of `live`, ascending, overlaps with what stands before it, or reaches past the end.
pub(super) fn misplaced(live: &[(String, u64, u64)], file_len: u64) -> Vec<Damage> {
    let mut free_from = FIRST;
    let mut damage = Vec::new();
    for (name, offset, len) in live {
        let fault = match () {
            () if *offset < free_from => "overlaps with what lies before it",
            () if offset + len > file_len => "reaches past the end of the file",
            () => "",
        };
        if !fault.is_empty() {
            damage.push(Damage { offset: *offset, len: *len, what: format!("{name} {fault}") });
        }
        free_from = free_from.max(Extent::holding(*offset, *len).end());
    }
    damage
}
