"""Certificates that a proxy verified, by the headers that it sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._config import ReplicationTrustedProxies, flag_option, header_option, options_of, texts_option
from ._errors import ReplicationAdminConfigError
from ._matchers import Matcher, Rule, Verdict
from ._proxies import proxy_rule
from ._request import read_header
from ._subject import subject_of_header, subject_rule

VERIFY_HEADERS = ("x-client-verify", "ssl-client-verify")
CERT_HEADERS = ("x-forwarded-client-cert", "x-client-cert")
SUCCESS_VALUES = ("success", "successful", "true", "1", "yes", "verified", "ok")
WHAT = "the forwarded-header matcher"


@dataclass(frozen=True, slots=True)
class ForwardedMtlsMatcherOptions:
    """What is believed of headers about a client's certificate. ``None`` is as good as not given."""

    trusted_proxies: ReplicationTrustedProxies | None = None
    """The proxies that verify certificates and set these headers, whatever the client sent under their names. Default: connections
    from this machine, and requests that are made of ``headers`` alone, as in ``ReplicationAdminAuthConfig``."""
    require_verify_header: bool = True
    """Whether a header must say that the certificate was verified."""
    verify_headers: Sequence[str] | None = None
    """The headers that may say so. Each of them that is there must. Default ``x-client-verify`` and ``ssl-client-verify``; name the
    one that your proxy sets, as it may pass on the other one from a client."""
    success_values: Sequence[str] | None = None
    """What they say, in whatever case. Default ``success, successful, true, 1, yes, verified, ok``."""
    require_peer_certificate: bool = False
    """Whether a header must have the certificate or its subject. ``subject_regex`` asks for it anyway."""
    cert_headers: Sequence[str] | None = None
    """The headers that may have it. Default ``x-forwarded-client-cert`` and ``x-client-cert``."""
    subject_regex: str | re.Pattern[str] | None = None
    """Whose certificate is admitted: every one of ``cert_headers`` that is there has a subject of which whole attributes match."""


def is_forwarded_tls_client_authorized(request: Any, options: ForwardedMtlsMatcherOptions | None = None) -> bool:
    """Tells whether a proxy that is trusted says that it verified the client's certificate."""
    return _rule(options)(request) == "admitted"


def create_forwarded_tls_mtls_matcher(options: ForwardedMtlsMatcherOptions | None = None) -> Callable[[Any], bool]:
    """:func:`is_forwarded_tls_client_authorized` as an ``mtls_matcher``. Raises ``ReplicationAdminConfigError`` on options that cannot
    be meant, as where nothing is asked for."""
    return Matcher(_rule(options))


def _rule(options: ForwardedMtlsMatcherOptions | None) -> Rule:
    if options is None:
        options = ForwardedMtlsMatcherOptions()
    options_of(options, ForwardedMtlsMatcherOptions, f"the options of {WHAT}")
    comes_from_proxy = proxy_rule(options.trusted_proxies, WHAT)
    verify_headers = _header_names(options.verify_headers, "verify_headers") or VERIFY_HEADERS
    cert_headers = _header_names(options.cert_headers, "cert_headers")
    success_values = frozenset(texts_option(options.success_values, "success_values") or SUCCESS_VALUES)
    admits = None if options.subject_regex is None else subject_rule(options.subject_regex, "subject_regex")
    must_verify = flag_option(options.require_verify_header, "require_verify_header")
    must_have = flag_option(options.require_peer_certificate, "require_peer_certificate") or admits is not None
    if not must_verify and not (must_have and cert_headers is not None and len(cert_headers) == 1):
        raise ReplicationAdminConfigError(
            f"{WHAT} without require_verify_header asks for nothing that a client could not pass through the proxy: set "
            "require_peer_certificate, and in cert_headers the one header that the proxy always sets or removes"
        )

    def rule(request: Any) -> Verdict:
        if not comes_from_proxy(request):
            return "absent"
        said = _readings(request, verify_headers)
        if said is None or (must_verify and not said) or not all(value.lower() in success_values for value in said):
            return "absent"
        if not must_have:
            return "admitted"
        certificates = _readings(request, cert_headers or CERT_HEADERS)
        if not certificates:
            return "absent"
        if admits is None:
            return "admitted"
        subjects = [subject_of_header(certificate) for certificate in certificates]
        return "admitted" if all(subject is not None and admits(subject) for subject in subjects) else "refused"

    return rule


def _readings(request: Any, names: Sequence[str]) -> list[str] | None:
    """What these headers say; ``None`` where one of them came more than once."""
    found = [read_header(request, name) for name in names]
    if any(reading.ambiguous for reading in found):
        return None
    return [reading.value for reading in found if reading.value is not None]


def _header_names(names: object, option: str) -> list[str] | None:
    texts = texts_option(names, option)
    return None if texts is None else [header_option(name, option) or name for name in texts]
