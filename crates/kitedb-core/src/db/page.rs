//! A part of a list, and where it goes on.

use crate::error::{Error, Result};

/// Some items, and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T, C = T> {
    /// The items, ascending.
    pub items: Vec<T>,
    /// What to give as `after` for the next page; `None` if this is the last one.
    pub next: Option<C>,
}

/// Fails if a page or batch is to hold nothing: who asks for the next one until there is none would never end.
pub(super) fn positive(limit: usize) -> Result<()> {
    if limit == 0 { Err(Error::invalid("limit is 0: a page holds at least one item")) } else { Ok(()) }
}

/// The first `limit` of `items`.
pub(super) fn page<T, C>(
    mut items: impl Iterator<Item = Result<T>>,
    limit: usize,
    cursor: fn(&T) -> C,
) -> Result<Page<T, C>> {
    positive(limit)?;
    let taken: Vec<T> = items.by_ref().take(limit).collect::<Result<_>>()?;
    let more = taken.len() == limit && items.next().transpose()?.is_some();
    Ok(Page { next: taken.last().map(cursor).filter(|_| more), items: taken })
}
