"""What requests that are not admitted, and configurations that cannot be meant, fail with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

ReplicationAdminAuthMode: TypeAlias = Literal["none", "token", "mtls", "token_or_mtls", "token_and_mtls"]
"""What a request must show: nothing; the token; a client certificate; one of them; both."""


class ReplicationAdminAuthError(PermissionError):
    """A request that was not admitted. ``status_code`` is what an HTTP host answers: 401 where nothing that the mode asks for was
    shown, or the wrong thing; 403 where a certificate was shown and believed, and its subject is not one that is admitted. Neither
    the message nor any attribute repeats what the request or the configuration held: the message may be shown to whoever asked."""

    code: Literal["UNAUTHORIZED", "FORBIDDEN"]
    status_code: Literal[401, 403]
    mode: ReplicationAdminAuthMode
    headers: Mapping[str, str]
    """What the answer should have beside its status."""

    def __init__(self, status_code: Literal[401, 403], mode: ReplicationAdminAuthMode) -> None:
        why = ": this certificate is not admitted" if status_code == 403 else ""
        super().__init__(f"Unauthorized: replication admin auth mode '{mode}' not satisfied{why}")
        self.code = "FORBIDDEN" if status_code == 403 else "UNAUTHORIZED"
        self.status_code = status_code
        self.mode = mode
        challenged = status_code == 401 and mode != "mtls"
        self.headers = MappingProxyType({"www-authenticate": 'Bearer realm="kitedb replication"'} if challenged else {})

    def __reduce__(self) -> tuple[type[ReplicationAdminAuthError], tuple[object, ...]]:
        return (type(self), (self.status_code, self.mode))


class ReplicationAdminConfigError(ValueError):
    """A configuration that cannot be meant as it stands. Nothing was made of it, so nothing is served by it."""

    code = "INVALID_CONFIG"
    status_code = 500
