"""Who may administer replication: what a Python host asks of the requests to it.

    from kitedb.replication_auth import ReplicationAdminAuthConfig, create_replication_admin_authorizer

    authorize = create_replication_admin_authorizer(ReplicationAdminAuthConfig(mode="token", token=token))
    authorize(request)  # raises a PermissionError with the status_code 401 or 403
    kitedb.collect_replication_metrics_prometheus(db, auth_enabled=authorize.auth_enabled)

A request is whatever has ``headers``: those of Starlette, FastAPI, Flask, Django, aiohttp and ``http.server`` are such, and so is an ASGI
scope. Where its connection comes from is read of the scope or the environment, never of a header; a server that puts what a header says
in the place of the peer (as uvicorn does, unless ``proxy_headers=False``) has the client's address there, and not the proxy's.
"""

from ._asgi import AsgiMtlsMatcherOptions, create_asgi_tls_mtls_matcher, is_asgi_tls_client_authorized
from ._authorizer import (
    ReplicationAdminAuthorizer,
    authorize_replication_admin_request,
    create_replication_admin_authorizer,
    is_replication_admin_authorized,
)
from ._config import ReplicationAdminAuthConfig, ReplicationTrustedProxies
from ._errors import ReplicationAdminAuthError, ReplicationAdminAuthMode, ReplicationAdminConfigError
from ._forwarded import (
    ForwardedMtlsMatcherOptions,
    create_forwarded_tls_mtls_matcher,
    is_forwarded_tls_client_authorized,
)

__all__ = [
    "AsgiMtlsMatcherOptions",
    "ForwardedMtlsMatcherOptions",
    "ReplicationAdminAuthConfig",
    "ReplicationAdminAuthError",
    "ReplicationAdminAuthMode",
    "ReplicationAdminAuthorizer",
    "ReplicationAdminConfigError",
    "ReplicationTrustedProxies",
    "authorize_replication_admin_request",
    "create_asgi_tls_mtls_matcher",
    "create_forwarded_tls_mtls_matcher",
    "create_replication_admin_authorizer",
    "is_asgi_tls_client_authorized",
    "is_forwarded_tls_client_authorized",
    "is_replication_admin_authorized",
]
