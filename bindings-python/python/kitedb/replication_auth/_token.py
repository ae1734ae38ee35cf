"""The token of a request."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

from ._errors import ReplicationAdminConfigError
from ._request import read_header


def bearer_token_rule(token: str) -> Callable[[object], bool]:
    """Tells whether a request has ``Authorization: Bearer <token>``, exactly so, once. How long that takes depends on what was
    presented, and not on how much of it is right or how long the token is."""
    # Another character arrives as other bytes, or not at all, depending on who sends it: a token that fails for some clients.
    if not re.fullmatch("[\x20-\x7e]+", token):
        raise ReplicationAdminConfigError(
            "the replication admin token has a character that no header carries unchanged: use visible ASCII characters"
        )
    expected = _digest(f"Bearer {token}")

    def has_token(request: object) -> bool:
        # Digests are of one length, whatever they are of.
        return hmac.compare_digest(_digest(read_header(request, "authorization").value or ""), expected)

    return has_token


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
