"""Whose headers about a client are believed, by the connection that they came over."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ._errors import ReplicationAdminConfigError
from ._request import is_headers_only, peer_address

LOOPBACK = ("127.0.0.0/8", "::1")


def proxy_rule(trusted: object, what: str) -> Callable[[object], bool]:
    """Reads the proxies that ``what`` is believed from. Where none are named, a connection counts that comes from this machine, and
    so does a request that is made of headers and nothing else: no server makes such, so a host did, which answers for them."""
    if trusted is None:
        comes_from_here = proxy_rule(["loopback"], what)
        return lambda request: is_headers_only(request) or comes_from_here(request)
    if trusted == "any":
        return lambda request: True
    if isinstance(trusted, (str, bytes)) or not isinstance(trusted, Sequence) or not trusted:
        raise ReplicationAdminConfigError(
            f"trusted_proxies of {what} must be 'any' or a list of addresses, networks and 'loopback', and name at least one"
        )
    entries = [each for entry in trusted for each in (LOOPBACK if entry == "loopback" else (entry,))]
    networks = [_network_of(entry, what) for entry in entries]

    def comes_from_proxy(request: object) -> bool:
        address = _address_of(peer_address(request) or "")
        return address is not None and any(
            address.version == network.version and address in network for network in networks
        )

    return comes_from_proxy


def _network_of(entry: object, what: str) -> IPv4Network | IPv6Network:
    host, *bits = entry.strip().split("/") if isinstance(entry, str) else [""]
    address = _address_of(host)
    wanted = bits[0] if bits else str(address.max_prefixlen) if address else ""
    if address is None or len(bits) > 1 or not re.fullmatch("[0-9]{1,3}", wanted) or int(wanted) > address.max_prefixlen:
        shown = f": '{entry}'" if isinstance(entry, str) else ""
        raise ReplicationAdminConfigError(
            f"trusted_proxies of {what} has an entry that is no IP address, no network like 10.0.0.0/8 and not 'loopback'{shown}"
        )
    if int(wanted) == 0:
        raise ReplicationAdminConfigError(
            f"trusted_proxies of {what} has a network of every address, '{entry}', which makes whoever can reach the port an "
            "administrator: name the proxies, or say 'any' where nothing but them can reach it"
        )
    # What is not of the network is not looked at.
    return ip_network(f"{address}/{wanted}", strict=False)


def _address_of(text: str) -> IPv4Address | IPv6Address | None:
    """IPv4 within IPv6, as a socket for both shows it, is IPv4."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
