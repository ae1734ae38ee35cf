"""Who administers replication, as a host says it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ._errors import ReplicationAdminAuthMode, ReplicationAdminConfigError

CERT_HEADER = "x-forwarded-client-cert"
MODES: tuple[ReplicationAdminAuthMode, ...] = ("none", "token", "mtls", "token_or_mtls", "token_and_mtls")

class _Unsaid(str):
    """The mode of who says none: it reads as ``none``, and is told from a ``none`` that somebody wrote."""

    __slots__ = ()

    def __reduce__(self) -> str:
        return "UNSAID"


UNSAID: Any = _Unsaid("none")

ReplicationTrustedProxies: TypeAlias = Literal["any"] | Sequence[str]
"""Whose headers about a client are believed: addresses (``10.0.0.7``), networks (``10.0.0.0/8``, ``fd00::/8``), ``loopback``. Or
``"any"``: nothing but the proxy can reach the port, as with a socket in the file system; whoever else can is an administrator."""


@dataclass(frozen=True, slots=True)
class ReplicationAdminAuthConfig:
    """Who administers replication. ``None`` is as good as not given."""

    mode: ReplicationAdminAuthMode | None = UNSAID
    """Default ``none``, but only where nothing else is given either: beside a token it must be said. Blanks around it and capitals do not count."""
    token: str | None = field(default=None, repr=False)
    """What comes after ``Authorization: Bearer``. Visible ASCII; blanks around it do not count. For the modes with ``token``."""
    mtls_header: str | None = CERT_HEADER
    """The header that tells the client's certificate. An ``mtls_matcher`` overrules it."""
    mtls_subject_regex: str | re.Pattern[str] | None = None
    """Whose certificate is admitted: matched against the subject in ``mtls_header``, by whole attributes. ``CN=admin`` admits
    ``CN=admin,O=KiteDB`` and not ``CN=administrator``. Without it every certificate that the proxy passes on is."""
    mtls_matcher: Callable[[Any], bool] | None = None
    """Decides in the modes with ``mtls``, whatever header, subject and proxies are given beside it: see
    ``create_asgi_tls_mtls_matcher`` and ``create_forwarded_tls_mtls_matcher``. It admits by ``True``, nothing else; what it raises,
    whoever asked gets."""
    trusted_proxies: ReplicationTrustedProxies | None = None
    """The proxies that check certificates and set ``mtls_header``. From anybody else that header is not believed. Default:
    connections from this machine (``loopback``), and requests that are made of ``headers`` alone, for which whoever makes them
    answers."""

    def given(self) -> list[str]:
        """What is given beside the mode, by name."""
        named = {
            "token": self.token,
            "mtls_header": None if self.mtls_header == CERT_HEADER else self.mtls_header,
            "mtls_subject_regex": self.mtls_subject_regex,
            "mtls_matcher": self.mtls_matcher,
            "trusted_proxies": self.trusted_proxies,
        }
        return [name for name, value in named.items() if value is not None]


def mode_of(config: ReplicationAdminAuthConfig) -> ReplicationAdminAuthMode:
    """The mode that is meant."""
    given: object = config.mode
    if given is None or given is UNSAID or (isinstance(given, str) and not given.strip()):
        if beside := config.given():
            raise ReplicationAdminConfigError(
                f"Invalid replication admin auth mode: none is given, though {', '.join(beside)} is: say which of "
                f"{', '.join(MODES)} is meant"
            )
        return "none"
    if isinstance(given, str):
        for mode in MODES:
            if mode == given.strip().lower():
                return mode
    shown = f" {given!r}" if isinstance(given, str) else ""
    raise ReplicationAdminConfigError(
        f"Invalid replication admin auth mode{shown}: give one of {', '.join(MODES)}"
    )


def options_of(given: object, kind: type, what: str) -> None:
    """Fails unless the options of ``what`` are of that class."""
    if not isinstance(given, kind):
        raise ReplicationAdminConfigError(f"{what} must be given as {kind.__name__}")


def text_option(value: object, name: str) -> str | None:
    """A text that was given; ``None`` where it was not, or is blank."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ReplicationAdminConfigError(f"{name} must be a str")
    return value.strip() or None


def flag_option(value: object, name: str) -> bool:
    """``True`` or ``False``, and nothing that only looks like it."""
    if not isinstance(value, bool):
        raise ReplicationAdminConfigError(f"{name} must be True or False")
    return value


_OF_EVERYBODY = frozenset(
    (
        "accept accept-charset accept-encoding accept-language authorization cache-control connection content-encoding "
        "content-length content-type cookie date expect forwarded from host keep-alive origin pragma priority "
        "proxy-authorization proxy-connection range referer te trailer transfer-encoding upgrade upgrade-insecure-requests "
        "user-agent via x-forwarded-for x-forwarded-host x-forwarded-proto x-real-ip"
    ).split()
)
"""What clients send, and proxies set, of every request, whoever it is from: it tells of no certificate."""


def header_option(value: object, name: str) -> str | None:
    """The name of a header by which a proxy can tell of a certificate, in lower case."""
    text = text_option(value, name)
    if text is None:
        return None
    header = text.lower()
    if header in _OF_EVERYBODY or header.startswith(("sec-", "if-")):
        raise ReplicationAdminConfigError(
            f"{name} is no name of a header that a proxy can set: '{header}' comes with every request, whoever it is from"
        )
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", header):
        raise ReplicationAdminConfigError(f"{name} is no name of a header that a proxy can set: '{header}'")
    return header


def texts_option(given: object, name: str) -> list[str] | None:
    """The entries that are not blank, in lower case; ``None`` where there are none, so that the default counts."""
    if given is None:
        return None
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        raise ReplicationAdminConfigError(f"{name} must be a list of str")
    entries = [text.lower() for entry in given if (text := text_option(entry, name)) is not None]
    return entries or None
