# SPDX-License-Identifier: Apache-2.0
"""The NICs of a new server: resolves `networks` of the request, then creates or binds the ports."""

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
    """One NIC of the request: a new port on `network`, or the existing port `port_id`."""

    network: Pluggable | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


def resolve(req: Request, params: str | list[dict[str, Any]] | None, *, rng: random.Random) -> list[Nic]:
    """The NICs that `networks` of the request stands for.

    None and []: one on the project's only network, or none if it has no network; auto: the same, but a network is
    created if it has none; none: no NIC.

    :raises errors.BadRequest: there is no such network. :raises errors.Conflict: the project has several networks.
    """
    if params == "none":
        return []
    if params == "auto" or not params:
        usable: Sequence[Pluggable] = networks.usable(req.db, req.ctxt.project_id)
        if len(usable) > 1:
            raise errors.Conflict(reason=auto_networks.AMBIGUOUS)
        if params == "auto" and not usable:
            security_groups.default_id(req.db, req.ctxt.project_id)  # before the quota lock, as decisions/0024 has it
            usable = [auto_networks.obtain(req.db, req.conf, req.ctxt.project_id, rng=rng)]
        return [Nic(network) for network in usable]
    assert not isinstance(params, str)  # the schema allows no other text
    ids = [entry["uuid"] for entry in params if not entry.get("port") and entry.get("uuid")]
    by_id = {network.id: network for network in networks.usable(req.db, req.ctxt.project_id, among=ids)} if ids else {}
    return [_nic(entry, by_id) for entry in params]


def _nic(entry: dict[str, Any], by_id: Mapping[str, Pluggable]) -> Nic:
    if entry.get("port"):
        if entry.get("fixed_ip"):
            raise errors.BadRequest(reason=f"Specified Fixed IP '{entry['fixed_ip']}' cannot be used with port "
                                           f"'{entry['port']}': the two cannot be specified together.")
        return Nic(port_id=entry["port"], tag=entry.get("tag"))
    if not entry.get("uuid"):
        raise errors.BadRequest(reason="Bad networks format: network uuid is not in proper format (None)")
    if entry["uuid"] not in by_id:
        raise errors.BadRequest(reason=f"Network {entry['uuid']} could not be found.")
    return Nic(by_id[entry["uuid"]], fixed_ip=entry.get("fixed_ip"), tag=entry.get("tag"))


def group_ids(req: Request, group_names: Sequence[str], nics: Sequence[Nic]) -> list[str]:
    """Ids of the new ports' security groups: those requested, else `default`; empty if no port is created.

    :raises errors.BadRequest: there is no such group.
    """
    if group_names:
        return [group.id for group in security_groups.named(req.db, req.ctxt.project_id, group_names)]
    if not any(nic.network for nic in nics):
        return []
    known = next((nic.network.default_group_id for nic in nics if isinstance(nic.network, networks.Usable)), None)
    return [known or security_groups.default_id(req.db, req.ctxt.project_id)]


def names(group_names: Sequence[str]) -> list[dict[str, str]]:
    """The security groups as the reply to a create shows them."""
    return [{"name": name} for name in group_names or (DEFAULT,)]


def plug(req: Request, server_id: str, nics: Sequence[Nic], groups: Sequence[str], *, rng: random.Random) -> None:
    """Create or bind the server's ports, in the order of its NICs.

    :raises errors.BadRequest: there is no such port, or the address cannot be used. :raises errors.InUse: the port is in use.
    """
    project_id = req.ctxt.project_id
    for position, nic in enumerate(nics):
        if nic.network is None:
            _bind(req, str(nic.port_id), server_id, position=position).tag = nic.tag
            continue
        security_groups_of_port = groups if nic.network.port_security_enabled else ()
        ports.make_for_server(
            req.db, server_id=server_id, project_id=project_id, network=nic.network, fixed_ip=nic.fixed_ip,
            group_ids=security_groups_of_port, position=position, rng=rng, tag=nic.tag or None)


def _bind(req: Request, port_id: str, server_id: str, *, position: int) -> Port:
    try:
        return ports.bind_given(req.db, port_id, server_id, project_id=req.ctxt.project_id, position=position)
    except errors.NotFound as missing:
        raise errors.BadRequest(reason=missing.text) from None
