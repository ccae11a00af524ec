# SPDX-License-Identifier: Apache-2.0
"""The NICs of a new server: which networks and ports its request means, and their ports made or bound."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.db.network import auto_networks, networks, ports, security_groups
from nova_lite.db.network.networks import Pluggable
from nova_lite.db.network.ports import Port
from nova_lite.db.network.security_groups import DEFAULT


@dataclasses.dataclass(frozen=True)
class Nic:
    """One NIC as asked: a new port on `network`, or the user's own port `port_id`."""

    network: Pluggable | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


def wanted(req: Request, asked: str | list[dict[str, Any]] | None, *, rng: random.Random) -> list[Nic]:
    """What `networks` of the request means. None and []: the project's one network, or no NIC if it has none;
    auto: the same, but one is made if it has none.

    :raises errors.BadRequest: a network is unknown. :raises errors.Conflict: it could be several.
    """
    if asked == "none":
        return []
    if asked == "auto" or not asked:
        usable: Sequence[Pluggable] = networks.usable(req.db, req.ctxt.project_id)
        if len(usable) > 1:
            raise errors.Conflict(reason=auto_networks.AMBIGUOUS)
        if asked == "auto" and not usable:
            usable = [auto_networks.obtain(req.db, req.conf, req.ctxt.project_id, rng=rng)]
        return [Nic(network) for network in usable]
    assert not isinstance(asked, str)  # the schema knows no other word
    ids = [entry["uuid"] for entry in asked if not entry.get("port") and entry.get("uuid")]
    known = {network.id: network for network in networks.usable(req.db, req.ctxt.project_id, among=ids)} if ids else {}
    return [_nic(entry, known) for entry in asked]


def _nic(entry: dict[str, Any], known: Mapping[str, Pluggable]) -> Nic:
    if entry.get("port"):
        if entry.get("fixed_ip"):
            raise errors.BadRequest(reason=f"Specified Fixed IP '{entry['fixed_ip']}' cannot be used with port "
                                           f"'{entry['port']}': the two cannot be specified together.")
        return Nic(port_id=entry["port"], tag=entry.get("tag"))
    if not entry.get("uuid"):
        raise errors.BadRequest(reason="Bad networks format: network uuid is not in proper format (None)")
    if entry["uuid"] not in known:
        raise errors.BadRequest(reason=f"Network {entry['uuid']} could not be found.")
    return Nic(known[entry["uuid"]], fixed_ip=entry.get("fixed_ip"), tag=entry.get("tag"))


def group_ids(req: Request, asked: Sequence[str], nics: Sequence[Nic]) -> list[str]:
    """The security groups of the new ports, `default` when none are named; none are needed without new ports.

    :raises errors.BadRequest: a group is unknown.
    """
    if asked:
        return [group.id for group in security_groups.named(req.db, req.ctxt.project_id, asked)]
    if not any(nic.network for nic in nics):
        return []
    return [security_groups.default_id(req.db, req.ctxt.project_id)]


def names(asked: Sequence[str]) -> list[dict[str, str]]:
    """The groups as the answer to a create shows them."""
    return [{"name": name} for name in asked or (DEFAULT,)]


def plug(req: Request, server_id: str, nics: Sequence[Nic], groups: Sequence[str], *, rng: random.Random) -> None:
    """Make or bind the server's ports, in the order of its NICs.

    :raises errors.BadRequest: a port is unknown, an address cannot be had. :raises errors.InUse: a port is taken.
    """
    project_id = req.ctxt.project_id
    for position, nic in enumerate(nics):
        if nic.network is None:
            _bind(req, str(nic.port_id), server_id, position=position).tag = nic.tag
            continue
        secured = groups if nic.network.port_security_enabled else ()
        ports.make_for_server(
            req.db, server_id=server_id, project_id=project_id, network=nic.network, fixed_ip=nic.fixed_ip,
            group_ids=secured, position=position, rng=rng, tag=nic.tag or None)


def _bind(req: Request, port_id: str, server_id: str, *, position: int) -> Port:
    try:
        return ports.bind_given(req.db, port_id, server_id, project_id=req.ctxt.project_id, position=position)
    except errors.NotFound as missing:
        raise errors.BadRequest(reason=missing.text) from None
