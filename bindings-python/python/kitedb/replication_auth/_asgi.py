"""Certificates that the ASGI server verified, in the handshake of the connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ._config import flag_option, options_of
from ._matchers import Matcher, Rule, Verdict
from ._request import scope_of
from ._subject import subject_rule

VERIFIED = ("tls_client_authorized", "client_cert_verified", "ssl_client_verify")
CERTIFICATE = ("client_cert", "peer_cert", "client_cert_chain")


@dataclass(frozen=True, slots=True)
class AsgiMtlsMatcherOptions:
    """What is asked of a server's word for a client's certificate."""

    require_peer_certificate: bool = False
    """Whether the certificate itself must be at hand, too. ``subject_regex`` asks for it anyway."""
    subject_regex: str | re.Pattern[str] | None = None
    """Whose certificate is admitted, by whole attributes of ``client_cert_name``, which is as RFC 4514 writes it:
    ``CN=admin,O=KiteDB``."""


def is_asgi_tls_client_authorized(request: Any, options: AsgiMtlsMatcherOptions | None = None) -> bool:
    """Tells whether the server verified the client's certificate: by ``tls_client_authorized``, ``client_cert_verified`` or
    ``ssl_client_verify`` in the scope, or by the ``tls`` extension of ASGI. Where a proxy ends TLS, all that it passes on is the
    proxy's: use ``create_forwarded_tls_mtls_matcher`` there."""
    return _rule(options)(request) == "admitted"


def create_asgi_tls_mtls_matcher(options: AsgiMtlsMatcherOptions | None = None) -> Callable[[Any], bool]:
    """:func:`is_asgi_tls_client_authorized` as an ``mtls_matcher``. Raises ``ReplicationAdminConfigError`` on options that cannot be
    meant."""
    return Matcher(_rule(options))


def _rule(options: AsgiMtlsMatcherOptions | None) -> Rule:
    if options is None:
        options = AsgiMtlsMatcherOptions()
    options_of(options, AsgiMtlsMatcherOptions, "the options of the ASGI TLS matcher")
    must_have = flag_option(options.require_peer_certificate, "require_peer_certificate")
    admits = None if options.subject_regex is None else subject_rule(options.subject_regex, "subject_regex")

    def rule(request: Any) -> Verdict:
        scope = scope_of(request)
        if scope is None:
            return "absent"
        extensions = scope.get("extensions")
        tls = extensions.get("tls") if isinstance(extensions, Mapping) else None
        told: list[Mapping[str, Any]] = [tls, scope] if isinstance(tls, Mapping) else [scope]
        if not any(_is_true(place.get(name)) for place in told for name in VERIFIED) and not _is_verified(tls):
            return "absent"
        if (must_have or admits is not None) and not any(place.get(name) for place in told for name in CERTIFICATE):
            return "absent"
        if admits is None:
            return "admitted"
        subject = next((name for place in told if isinstance(name := place.get("client_cert_name"), str)), None)
        if not subject:
            return "absent"
        return "admitted" if admits(subject) else "refused"

    return rule


def _is_true(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in ("1", "true", "yes", "success")
    return isinstance(value, (bool, int, float)) and bool(value)


def _is_verified(tls: object) -> bool:
    """By the ``tls`` extension a chain that has no error was verified."""
    if not isinstance(tls, Mapping) or "client_cert_error" not in tls:
        return False
    return bool(tls.get("client_cert_chain")) and tls["client_cert_error"] is None
