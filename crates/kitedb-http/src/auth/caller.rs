//! Who asks.

use super::{AuthMode, Scope, Scopes};
use crate::error::Failure;
use std::sync::Arc;

/// Somebody who is admitted, and what he may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admitted {
    /// What he is called in the access log.
    pub name: Arc<str>,
    pub scopes: Scopes,
}

/// Why a request is not admitted. It repeats nothing of what the request or the options held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied {
    pub mode: AuthMode,
    /// A certificate was shown and believed, and its subject is not one that is admitted.
    pub forbidden: bool,
    /// A credential was shown that does not do: what a guess looks like.
    pub tried: bool,
}

/// Who asks: it stands in the extensions of a request for what handles it, and in those of its answer for the access log.
#[derive(Debug, Clone)]
pub(crate) struct Caller(pub Result<Admitted, Denied>);

impl Admitted {
    pub fn new(name: &str, scopes: Scopes) -> Self {
        Self { name: name.into(), scopes }
    }

    /// Who shows two credentials where one is enough: what either may do.
    pub fn or(&self, other: &Self) -> Self {
        self.beside(other, self.scopes.union(other.scopes))
    }

    /// Who shows two where both are asked for: what both may do.
    pub fn and(&self, other: &Self) -> Self {
        self.beside(other, self.scopes.intersection(other.scopes))
    }

    fn beside(&self, other: &Self, scopes: Scopes) -> Self {
        let name =
            if self.name == other.name { self.name.clone() } else { format!("{}+{}", self.name, other.name).into() };
        Self { name, scopes }
    }
}

impl Caller {
    /// Fails where he is not admitted, or has not got that scope.
    pub fn require(&self, scope: Scope) -> Result<&Admitted, Failure> {
        match &self.0 {
            Ok(admitted) if admitted.scopes.has(scope) => Ok(admitted),
            Ok(_) => Err(Failure::lacks(scope)),
            Err(denied) => Err((*denied).into()),
        }
    }

    /// Whether he has one of these scopes.
    pub fn has_any(&self, scopes: &[Scope]) -> bool {
        self.0.as_ref().is_ok_and(|admitted| scopes.iter().any(|scope| admitted.scopes.has(*scope)))
    }

    /// What he is called; `None`: nobody who is known.
    pub fn name(&self) -> Option<&str> {
        self.0.as_ref().ok().map(|admitted| &*admitted.name)
    }
}
