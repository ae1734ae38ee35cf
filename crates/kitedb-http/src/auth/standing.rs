//! What a request showed, while it waits: whoever is to be answered later must be admitted then, too.

use super::{Authorizer, ClientCertificate, Handshake, Scope, Shown};
use crate::error::Failure;
use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use std::{fmt, net::IpAddr, sync::Arc};

/// See the [module documentation](self).
pub(crate) struct Standing {
    headers: HeaderMap,
    peer: Option<IpAddr>,
    certificate: Option<Arc<ClientCertificate>>,
    /// What was asked of it when it came.
    scope: Scope,
}

/// Secrets stay out.
impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Standing {
    /// Of a request for a route that asks for a scope.
    pub fn of(parts: &Parts) -> Result<Self, Failure> {
        let scope = *parts.extensions.get::<Scope>().ok_or_else(Failure::unasked)?;
        let certificate = parts.extensions.get::<Handshake>().and_then(|handshake| handshake.0.clone());
        Ok(Self { headers: parts.headers.clone(), peer: Shown::of(parts).peer, certificate, scope })
    }
}

impl<S: Sync> FromRequestParts<S> for Standing {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Self::of(parts)
    }
}

impl Authorizer {
    /// Fails where whoever asked is not admitted any more: his credential was taken back, or can do less now.
    pub async fn require_still(&self, standing: &Standing) -> Result<(), Failure> {
        let Standing { headers, peer, certificate, scope } = standing;
        let shown = Shown { headers, peer: *peer, certificate: certificate.as_deref() };
        self.caller(shown).await.require(*scope).map(drop)
    }
}
