# SPDX-License-Identifier: Apache-2.0
"""The addresses of the cloud itself, which guests on no host reach: of hosts, message bus and database, and what else is configured."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_config import cfg
from oslo_log import log as logging
from sqlalchemy.orm import Session

from nova_lite.db.hosts.hosts import Host

LOG = logging.getLogger(__name__)


def cloud_addresses(session: Session, conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """IPv4 addresses and ranges, sorted; one query. Loopback addresses are left out: they are every machine's own."""
    named = {conf.my_ip, *_of_services(conf, session)}
    for host_ip, tunnel_ip in session.execute(sa.select(Host.host_ip, Host.tunnel_ip)):
        named |= {host_ip, tunnel_ip}
    found = {address for name in named if name for address in _resolved(name) if not ipaddress.IPv4Address(address).is_loopback}
    return tuple(sorted({*found, *(str(cidr) for cidr in conf.network.protected_cidrs)}))


def _of_services(conf: cfg.ConfigOpts, session: Session) -> Iterator[str]:
    """The host names of the database and of the brokers."""
    engine = session.get_bind().engine
    if engine.url.host:
        yield engine.url.host
    for broker in messaging.TransportURL.parse(conf).hosts:
        if broker.hostname:
            yield broker.hostname


def _resolved(name: str) -> Iterable[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(name, None, socket.AF_INET)}
    except OSError as error:
        LOG.warning("%s: cannot be closed to guests, since it has no IPv4 address: %s", name, error)
        return ()
