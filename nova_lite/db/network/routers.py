# SPDX-License-Identifier: Apache-2.0
"""Routers as clients keep them: what joins a project's network to an external one.

Each network has its own gateway on every host; a router records that its users want it joined, no more.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column, selectinload

from nova_lite import errors
from nova_lite.db import listing
from nova_lite.db.base import Base, Timestamps, new_id
from nova_lite.db.network import ports
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.db.network.ports import Port
from nova_lite.db.network.tags import Tagged

INTERFACE, GATEWAY = "network:router_interface", "network:router_gateway"


class Router(Tagged, Timestamps, Base):
    """One router; `network_id` is the external network of its gateway, `gateway_port_id` its address there."""

    __tablename__ = "routers"

    id: Mapped[str] = mapped_column(sa.String(36), primary_key=True, default=new_id)
    project_id: Mapped[str] = mapped_column(sa.String(64), index=True)
    name: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    network_id: Mapped[str | None] = mapped_column(sa.ForeignKey("networks.id"))
    gateway_port_id: Mapped[str | None] = mapped_column(sa.ForeignKey("ports.id", ondelete="SET NULL"))


COLUMNS: listing.Columns = {
    "id": Router.__table__.c.id,
    "name": Router.__table__.c.name,
    "description": Router.__table__.c.description,
    "project_id": Router.__table__.c.project_id,
    "tenant_id": Router.__table__.c.project_id,
    "admin_state_up": Router.__table__.c.admin_state_up,
    "created_at": Router.__table__.c.created_at,
}


def find(
    session: Session,
    *,
    project_id: str | None,
    filters: Mapping[str, Sequence[object]] | None = None,
    page: listing.Page = listing.ALL,
) -> list[Router]:
    """The project's routers (None: all)."""
    seen = sa.select(Router)
    if project_id is not None:
        seen = seen.where(Router.project_id == project_id)
    query = seen.where(*listing.matching(COLUMNS, filters or {}))
    return list(session.scalars(listing.paged(session, query, COLUMNS, page, seen=seen)))


def get(session: Session, router_id: str, *, project_id: str | None = None) -> Router:
    """The router; `project_id`: only of that project.

    :raises errors.NotFound: none, or another project's.
    """
    found = find(session, project_id=project_id, filters={"id": [router_id]})
    if not found:
        raise errors.NotFound(f"Router {router_id} could not be found", what="Router", id=router_id)
    return found[0]


def count(session: Session, project_id: str) -> int:
    """How many the project has, for its quota."""
    query = sa.select(sa.func.count()).select_from(Router).where(Router.project_id == project_id)
    return session.scalar(query) or 0


def interfaces(session: Session, router_id: str) -> list[Port]:
    """The router's ports on projects' networks, with their addresses."""
    query = sa.select(Port).where(Port.device_id == router_id, Port.device_owner == INTERFACE)
    return list(session.scalars(query.options(selectinload(Port.addresses))))


def gateway_addresses(session: Session, routers: Sequence[Router]) -> dict[str, list[Address]]:
    """Gateway port id → its addresses."""
    ids = [router.gateway_port_id for router in routers if router.gateway_port_id]
    found: dict[str, list[Address]] = {}
    for address in session.scalars(sa.select(Address).where(Address.port_id.in_(ids))) if ids else ():
        found.setdefault(address.port_id, []).append(address)
    return found


def set_gateway(session: Session, router: Router, network: Network | None, *, rng: random.Random) -> None:
    """Join the router to an external network, with an address there; None: to none.

    :raises errors.NoCapacity: every address of the network is taken.
    """
    if (network and network.id) == router.network_id:
        return
    old_port_id = router.gateway_port_id
    router.network_id, router.gateway_port_id = None, None
    session.flush()  # the router before its port, as `delete` has them: of two at once one waits
    if old_port_id is not None:
        session.execute(sa.delete(Port).where(Port.id == old_port_id))
    if network is not None:
        router.network_id, router.gateway_port_id = network.id, ports.create(
            session, {"project_id": "", "device_id": router.id, "device_owner": GATEWAY, "port_security_enabled": False},
            network=network, wanted=None, group_ids=(), rng=rng)
    session.flush()


def add_interface(session: Session, router: Router, subnet: Subnet, *, rng: random.Random) -> Port:
    """Join the subnet's network, by the subnet's gateway address.

    :raises errors.BadRequest: the subnet has no gateway. :raises errors.Conflict: a router has joined it.
    """
    if subnet.gateway is None:
        raise errors.BadRequest(reason="Bad router request: Subnet for router interface must have a gateway IP")
    port = Port(
        id=new_id(), project_id=router.project_id, network_id=subnet.network_id, device_id=router.id,
        device_owner=INTERFACE, port_security_enabled=False, mac_address=ports.random_mac(rng), status="ACTIVE")
    port.addresses = [Address(subnet_id=subnet.id, address=subnet.gateway)]
    port.security_groups = []
    try:
        with session.begin_nested():
            session.add(port)
    except IntegrityError:
        raise errors.Conflict(
            reason=f"IP address {subnet.gateway} already allocated in subnet {subnet.id}") from None
    return port


def remove_interface(session: Session, port: Port) -> None:
    """Part the router from the network."""
    session.execute(sa.delete(Port).where(Port.id == port.id))


def delete(session: Session, router: Router) -> None:
    """Remove a router that joins nothing; its gateway goes too."""
    gateway = router.gateway_port_id
    session.execute(sa.delete(Router).where(Router.id == router.id))
    if gateway is not None:
        session.execute(sa.delete(Port).where(Port.id == gateway))
