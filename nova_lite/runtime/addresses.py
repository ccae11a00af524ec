# SPDX-License-Identifier: Apache-2.0
"""Where others reach what listens on this machine."""

from __future__ import annotations

import ipaddress
import socket

from oslo_config import cfg

# Documentation's addresses (RFC 5737, RFC 3849): nothing is sent, the kernel only chooses the source that it would use.
_OUTSIDE = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


def api_url(conf: cfg.ConfigOpts) -> str:
    """`[api] public_url` without a slash at its end, or the URL at which other machines reach what listens there."""
    return str(conf.api.public_url).rstrip("/") or f"http://{url_host(conf, conf.api.listen)}:{conf.api.port}"


def url_host(conf: cfg.ConfigOpts, listen: str) -> str:
    """The host of URLs for what listens on the address; on all addresses: `my_ip`, or where it is a loopback's, this machine's to the outside."""
    address = str(conf.my_ip) if is_every_address(listen) else listen
    if is_every_address(listen) and is_loopback(address):
        address = _own_address() or address
    return f"[{address}]" if ":" in address else address


def is_every_address(listen: str) -> bool:
    """Whether it stands for all addresses of the machine."""
    parsed = _parsed(listen)
    return parsed is not None and parsed.is_unspecified


def is_loopback(listen: str) -> bool:
    """Whether only this machine reaches it."""
    parsed = _parsed(listen)
    return listen == "localhost" if parsed is None else parsed.is_loopback


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None: it is a name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _own_address() -> str | None:
    """The source of this machine's packets to the outside; None: it has no route there."""
    for family, outside in _OUTSIDE:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((outside, 9))
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return None
