//! The other nodes that lead, or have more, when one is promoted by force.

use crate::render::style::{BAD, Styled, clean};
use kitedb_core::Rival;
use serde_json::json;
use std::io::{self, Write};

pub fn rival_document(rival: &Rival) -> serde_json::Value {
    json!({
        "db": rival.db.display().to_string(), "leads": rival.leads, "last_token": rival.last_token.full(),
        "knows_epoch": rival.knows_epoch,
    })
}

/// A line for each.
pub fn show_rivals(rivals: &[Rival], out: &mut dyn Write) -> io::Result<()> {
    for rival in rivals {
        let what = format!("{rival}, and was not fenced: let it not write again; what only it has is lost");
        writeln!(out, "  {}", Styled(BAD, clean(&what)))?;
    }
    Ok(())
}
