# SPDX-License-Identifier: Apache-2.0
"""The network that is made for a project that requests `auto` and has none: a range, and a way out by a router."""

from __future__ import annotations

import ipaddress
import random

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.db.network import networks, routers
from nova_lite.db.network.networks import Network, Pluggable, Subnet
from nova_lite.db.network.routers import Router
from nova_lite.db.quotas import quota_locks, quotas

AMBIGUOUS = "Multiple possible networks found, use a Network ID to be more specific."
# Names as Neutron gives them; the network is found again by its own.
NETWORK, SUBNET, ROUTER = "auto_allocated_network", "auto_allocated_subnet_v4", "auto_allocated_router"


def obtain(session: Session, conf: cfg.ConfigOpts, project_id: str, *, rng: random.Random) -> Pluggable:
    """The project's only usable network, with subnets; made if it has none. Requests of one project wait for each other.

    :raises errors.Conflict: it has several. :raises errors.OverQuota: it may have none.
    """
    quota_locks.take(session, project_id)
    usable = networks.usable(session, project_id)
    if len(usable) > 1:
        raise errors.Conflict(reason=AMBIGUOUS)
    return usable[0] if usable else _make(session, conf, project_id, rng=rng)


def find(session: Session, project_id: str) -> Network | None:
    """The network that was made for the project, with subnets."""
    found = networks.find(session, project_id=None, filters={"name": [NETWORK], "project_id": [project_id]})
    return found[0] if found else None


def remove(session: Session, project_id: str) -> None:
    """Take the network away with its subnet and router, as far as they are there.

    :raises errors.InUse: a server or port uses it.
    """
    network = find(session, project_id)
    if network is None:
        return
    for router in routers.find(session, project_id=project_id, filters={"name": [ROUTER]}):
        for port in routers.interfaces(session, router.id):
            routers.remove_interface(session, port)
        routers.delete(session, router)
    networks.delete(session, network)


def _make(session: Session, conf: cfg.ConfigOpts, project_id: str, *, rng: random.Random) -> Network:
    limits = quotas.limits(session, conf, project_id)
    for name, used in (("networks", 0), ("subnets", 0), ("routers", routers.count(session, project_id))):
        if 0 <= limits[name] <= used:
            raise errors.OverQuota(f"Quota exceeded for resources: {name}: the limit is {limits[name]}.")
    network = networks.create(
        session, Network(project_id=project_id, name=NETWORK, mtu=conf.network.mtu), segment=None, rng=rng)
    block = ipaddress.IPv4Network(conf.network.auto_cidr)
    subnet = networks.add_subnet(session, network, Subnet(
        network_id=network.id, project_id=project_id, name=SUBNET, cidr=str(block), gateway=str(block[1]),
        dns_nameservers=[], host_routes=[], pools=[[str(block[2]), str(block[-2])]]))
    router = Router(project_id=project_id, name=ROUTER)
    session.add(router)
    session.flush()
    routers.add_interface(session, router, subnet, rng=rng)
    _lead_out(session, router, rng=rng)
    return network


def _lead_out(session: Session, router: Router, *, rng: random.Random) -> None:
    """Join the router to the cloud's external network if there is just one, for floating addresses."""
    external = session.scalars(sa.select(Network.id).where(Network.is_external)).all()
    if len(external) == 1:
        try:
            routers.set_gateway(session, router, networks.get(session, external[0]), rng=rng)
        except errors.NoCapacity:
            return  # servers get out without: only floating addresses would need one
