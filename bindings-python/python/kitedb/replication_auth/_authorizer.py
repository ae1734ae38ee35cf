"""What admits requests to the administration of replication."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias, final

from ._config import CERT_HEADER, ReplicationAdminAuthConfig, header_option, mode_of, options_of, text_option
from ._errors import ReplicationAdminAuthError, ReplicationAdminAuthMode, ReplicationAdminConfigError
from ._matchers import Rule, Verdict, rule_of
from ._proxies import proxy_rule
from ._request import read_header
from ._subject import subject_of_header, subject_rule
from ._token import bearer_token_rule

Outcome: TypeAlias = Literal[0, 401, 403]
"""How a request ends: 0 is admitted, else the status of the answer."""

WHAT = "the replication admin auth configuration"
ANSWERS: dict[Verdict, Outcome] = {"admitted": 0, "refused": 403, "absent": 401}


@final
class ReplicationAdminAuthorizer:
    """Called with a request, it raises ``ReplicationAdminAuthError`` where that is not admitted."""

    __slots__ = ("__mode", "__outcome")

    __mode: ReplicationAdminAuthMode
    __outcome: Callable[[Any], Outcome]

    def __init__(self, config: ReplicationAdminAuthConfig) -> None:
        self.__mode, self.__outcome = _rules(config)

    @property
    def mode(self) -> ReplicationAdminAuthMode:
        """What it asks for."""
        return self.__mode

    @property
    def auth_enabled(self) -> bool:
        """Whether it asks for anything: what ``kitedb_replication_auth_enabled`` says."""
        return self.__mode != "none"

    def admits(self, request: Any) -> bool:
        """Whether it is admitted."""
        return self.__outcome(request) == 0

    def __call__(self, request: Any) -> None:
        outcome = self.__outcome(request)
        if outcome != 0:
            raise ReplicationAdminAuthError(outcome, self.__mode)

    def __repr__(self) -> str:
        return f"<kitedb.replication_auth.ReplicationAdminAuthorizer, mode {self.__mode}>"


def create_replication_admin_authorizer(config: ReplicationAdminAuthConfig) -> ReplicationAdminAuthorizer:
    """Makes what admits requests to the administration of replication. What cannot be meant is refused here
    (``ReplicationAdminConfigError``), and never becomes an open door: a mode that is not known, or not given though something to
    check is; a token that is missing; a header that anybody can send; a pattern that admits everybody."""
    return ReplicationAdminAuthorizer(config)


def is_replication_admin_authorized(request: Any, config: ReplicationAdminAuthConfig) -> bool:
    """Tells whether a request is admitted. Raises on a configuration that cannot be meant, and what ``mtls_matcher`` raises."""
    return _rules(config)[1](request) == 0


def authorize_replication_admin_request(request: Any, config: ReplicationAdminAuthConfig) -> None:
    """Raises where a request is not admitted (``ReplicationAdminAuthError``, a ``PermissionError``) and on a configuration that cannot
    be meant. To ask more than once, make an authorizer."""
    create_replication_admin_authorizer(config)(request)


def _rules(config: ReplicationAdminAuthConfig) -> tuple[ReplicationAdminAuthMode, Callable[[Any], Outcome]]:
    options_of(config, ReplicationAdminAuthConfig, WHAT)
    mode = mode_of(config)
    token = text_option(config.token, "token")
    if token is None and "token" in mode:
        raise ReplicationAdminConfigError(f"replication admin auth mode '{mode}' requires a non-empty token")
    # Both are looked over whatever the mode: what is wrong in them now is wrong when the mode is changed.
    has_token = bearer_token_rule(token) if token is not None else lambda request: False
    certificate = _certificate_rule(config)

    def outcome(request: Any) -> Outcome:
        if mode == "none":
            return 0
        if mode == "token":
            return 0 if has_token(request) else 401
        if mode == "mtls":
            return ANSWERS[certificate(request)]
        if mode == "token_or_mtls":
            return 0 if has_token(request) or certificate(request) == "admitted" else 401
        # Both are looked at, and the answer is the same: nobody learns which of the two was right.
        verdict, token_is_right = certificate(request), has_token(request)
        return 0 if token_is_right and verdict == "admitted" else 401

    return mode, outcome


def _certificate_rule(config: ReplicationAdminAuthConfig) -> Rule:
    """What tells of a certificate: the matcher, or the header from a proxy."""
    by_matcher = None if config.mtls_matcher is None else rule_of(config.mtls_matcher)
    header = header_option(config.mtls_header, "mtls_header") or CERT_HEADER
    admits = None if config.mtls_subject_regex is None else subject_rule(config.mtls_subject_regex, "mtls_subject_regex")
    comes_from_proxy = proxy_rule(config.trusted_proxies, WHAT)
    # It decides alone. What is given beside it was looked over all the same, for when it is taken away.
    if by_matcher is not None:
        return by_matcher

    def rule(request: Any) -> Verdict:
        value = read_header(request, header).value
        if value is None or not comes_from_proxy(request):
            return "absent"
        if admits is None:
            return "admitted"
        subject = subject_of_header(value)
        return "admitted" if subject is not None and admits(subject) else "refused"

    return rule
