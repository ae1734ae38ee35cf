//! What somebody may do.

use std::fmt;

/// What a route asks of whoever asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Metrics.
    Metrics,
    /// What a replica needs: snapshots and the log.
    Follow,
    /// To fence a primary.
    Fence,
    /// To read the graph.
    Read,
    /// To change the graph.
    Write,
    /// Everything.
    Admin,
}

impl Scope {
    pub const ALL: [Self; 6] = [Self::Metrics, Self::Follow, Self::Fence, Self::Read, Self::Write, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Follow => "follow",
            Self::Fence => "fence",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The one of that name, written so.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// A set of scopes. Whoever has admin has them all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub const ALL: Self = Self((1 << Scope::ALL.len()) - 1);

    pub fn of(scope: Scope) -> Self {
        if scope == Scope::Admin { Self::ALL } else { Self(1 << scope as u8) }
    }

    pub fn has(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u8) != 0
    }

    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        scopes.into_iter().fold(Self(0), |all, scope| all.union(Self::of(scope)))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(Scope::ALL.into_iter().filter(|scope| self.has(*scope))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admin_is_everything_and_everything_else_is_not_admin() {
        let others = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin);
        let all_others: Scopes = others.clone().collect();
        assert!(!all_others.has(Scope::Admin));
        for scope in others {
            assert!(Scopes::of(Scope::Admin).has(scope));
            let own = Scopes::of(scope);
            assert!(Scope::ALL.into_iter().all(|other| own.has(other) == (other == scope)), "{own:?}");
            assert_eq!(own.intersection(Scopes::of(Scope::Admin)), own);
            assert_eq!(Scope::named(scope.as_str()), Some(scope));
        }
        assert_eq!(Scopes::of(Scope::Read).intersection(Scopes::of(Scope::Write)), [].into_iter().collect());
        assert_eq!(Scope::named("Admin"), None);
    }
}
