# SPDX-License-Identifier: Apache-2.0
"""NICs of one server: shown, attached while the caller waits, and detached."""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import authorization
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import STRING, STRING_OR_NULL, Field, closed, many, page, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.network import auto_networks, interfaces, networks, ports, security_groups
from nova_lite.db.network.networks import Pluggable
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import ACTIONS

LOG = logging.getLogger(__name__)
_RANDOM = random.SystemRandom()
# Nova's clients give up after as long.
_WAIT_S = 60.0
_LOOK_S = 0.02
# Attaches and detaches of one server take turns; anything else under way is a refusal.
_TURNS = (ACTIONS["attach_interface"].task, ACTIONS["detach_interface"].task)
_T = TypeVar("_T")

FIELDS = (
    Field("port_id", lambda port: port.id, STRING),
    Field("net_id", lambda port: port.network_id, STRING),
    Field("mac_addr", lambda port: port.mac_address, STRING),
    Field("port_state", lambda port: port.status, STRING),
    Field("fixed_ips", lambda port: [
        {"subnet_id": address.subnet_id, "ip_address": address.address} for address in port.addresses],
        many(closed(subnet_id=STRING, ip_address=STRING))),
    Field("tag", lambda port: port.tag, STRING_OR_NULL, since="2.70"),
)
_ONE = closed(interfaceAttachment=FIELDS)
_FIXED_IPS = {"type": "array", "minItems": 1, "maxItems": 1, "items": schemas.closed(
    {"ip_address": {"anyOf": [schemas.IPV4, schemas.IPV6]}}, required=("ip_address",))}
_ATTACHMENT = {"net_id": schemas.UUID, "port_id": schemas.UUID, "fixed_ips": _FIXED_IPS}
_TAG = {"type": "string", "minLength": 1, "maxLength": 60, "pattern": "^[^,/]*$"}
CREATE = schemas.keyed("interfaceAttachment", schemas.closed(_ATTACHMENT))
CREATE_TAGGED = schemas.keyed("interfaceAttachment", schemas.closed({**_ATTACHMENT, "tag": _TAG}))


def _ports(req: Request, server_id: str) -> list[Port]:
    server = begin_action.find(req, server_id)
    return ports.of_servers(req.db, [server.id])[server.id]


@route("GET", "/servers/{server_id}/os-interface", policy=Rule("os_compute_api:os-attach-interfaces:list", READER),
       response=page("interfaceAttachments", FIELDS))
def index(req: Request, server_id: str) -> Body:
    """All NICs, in the order in which the guest has them."""
    return {"interfaceAttachments": [view(FIELDS, port, req) for port in _ports(req, server_id)]}


@route("GET", "/servers/{server_id}/os-interface/{port_id}",
       policy=Rule("os_compute_api:os-attach-interfaces:show", READER), response=_ONE)
def show(req: Request, server_id: str, port_id: str) -> Body:
    """The NIC of one port."""
    return {"interfaceAttachment": view(FIELDS, _one(req, server_id, port_id), req)}


def _one(req: Request, server_id: str, port_id: str) -> Port:
    for port in _ports(req, server_id):
        if port.id == port_id:
            return port
    raise errors.NotFound(f"Instance {server_id} does not have a port with id {port_id}")


@route("POST", "/servers/{server_id}/os-interface", policy=Rule("os_compute_api:os-attach-interfaces:create", MEMBER),
       body={"2.0": CREATE, "2.49": CREATE_TAGGED}, response=_ONE)
def create(req: Request, server_id: str, body: Body) -> Body:
    """Attach a port, given or made on a network, and answer when the guest has it.

    :raises errors.WorkerError: it could not be attached, and is not.
    """
    asked = body["interfaceAttachment"]
    if asked.get("net_id") and asked.get("port_id"):
        raise errors.BadRequest(reason="Must not input both network_id and port_id")
    if asked.get("fixed_ips") and not asked.get("net_id"):
        raise errors.BadRequest(reason="Must input network_id when request IP address")
    action, port_id = _in_turn(req, lambda turn: _begin_attach(turn, server_id, asked))
    _hint(req, action)
    _wait_for(req, action, server_id)
    with req.database.reader() as session:
        port = ports.get(session, port_id)
    return {"interfaceAttachment": view(FIELDS, port, req)}


def _begin_attach(req: Request, server_id: str, asked: dict[str, Any]) -> tuple[Action, str]:
    """In one transaction: the port is the server's, and the action is written down."""
    server = begin_action.find(req, server_id)
    action, _ = begin_action.begin_on_host(req, server, "attach_interface")
    position = interfaces.next_position(req.db, server.id)
    if asked.get("port_id"):
        port = _given(req, server, asked["port_id"], position=position)
    else:
        port = _made(req, server, asked, position=position)
    interfaces.place(req.db, port, host=server.host, tag=asked.get("tag"))
    action.inputs = {"port_id": port.id}
    return action, port.id


def _given(req: Request, server: Server, port_id: str, *, position: int) -> Port:
    """:raises errors.NotFound: no such port. :raises errors.Conflict: a server has it."""
    try:
        return ports.bind_given(req.db, port_id, server.id, project_id=server.project_id, position=position)
    except errors.InUse as taken:
        raise errors.Conflict(reason=taken.text) from None
    except errors.NotFound:
        raise errors.NotFound(f"Port id {port_id} could not be found.", what="Port", id=port_id) from None


def _made(req: Request, server: Server, asked: dict[str, Any], *, position: int) -> Port:
    network = _network(req, server, asked.get("net_id"))
    authorization.check_port_quota(req, server.project_id)
    secured = network.port_security_enabled
    groups = [security_groups.default_id(req.db, server.project_id)] if secured else []
    fixed_ip = asked["fixed_ips"][0]["ip_address"] if asked.get("fixed_ips") else None
    try:
        return ports.get(req.db, ports.make_for_server(
            req.db, server_id=server.id, project_id=server.project_id, network=network, fixed_ip=fixed_ip,
            group_ids=groups, position=position, rng=_RANDOM))
    except errors.NoCapacity as full:
        raise errors.BadRequest(reason=f"No fixed IP addresses available for network: {network.id}") from full


def _network(req: Request, server: Server, network_id: str | None) -> Pluggable:
    """The network named, or the only one that the server's project may use.

    :raises errors.NotFound: it does not exist. :raises errors.BadRequest: there is none, or several.
    """
    among = None if network_id is None else [network_id]
    usable = networks.usable(req.db, server.project_id, among=among)
    if network_id is not None and not usable:
        raise errors.NotFound(f"Network {network_id} could not be found.", what="Network", id=network_id)
    if len(usable) > 1:
        raise errors.BadRequest(reason=auto_networks.AMBIGUOUS)
    if not usable:
        raise errors.BadRequest(reason=f"No specific network was requested and none are available for project "
                                       f"'{server.project_id}'.")
    return usable[0]


@route("DELETE", "/servers/{server_id}/os-interface/{port_id}",
       policy=Rule("os_compute_api:os-attach-interfaces:delete", MEMBER), status=202)
def delete(req: Request, server_id: str, port_id: str) -> None:
    """Detach a port; one that was made for the server goes, a user's own is free again."""
    def begin(turn: Request) -> Action:
        server = begin_action.find(turn, server_id)
        if all(port.id != port_id for port in ports.of_servers(turn.db, [server.id])[server.id]):
            raise errors.NotFound(f"Port id {port_id} could not be found.", what="Port", id=port_id)
        action, _ = begin_action.begin_on_host(turn, server, "detach_interface")
        action.inputs = {"port_id": port_id}
        return action

    _hint(req, _in_turn(req, begin))


def _in_turn(req: Request, begin: Callable[[Request], _T]) -> _T:
    """What `begin` returns, done in a transaction of its own, as soon as no other NIC is on its way.

    :raises errors.WrongState: something else is under way, or a NIC for longer than a client waits.
    """
    deadline = time.monotonic() + _WAIT_S
    while True:
        turn = copy.copy(req)
        try:
            with req.database.writer() as turn.db:
                return begin(turn)
        except errors.WrongState as refused:
            if refused.kwargs["state"] not in _TURNS or time.monotonic() > deadline:
                raise
        time.sleep(_LOOK_S)


def _hint(req: Request, action: Action) -> None:
    try:
        req.rpc.conductor.run(req.ctxt, action_id=action.id)
    except Exception:  # noqa: BLE001 - the row is the truth: a reconciler hints again
        LOG.exception("server %s: the hint was not sent; the reconciler will make up for it", action.resource_id)


def _wait_for(req: Request, action: Action, server_id: str) -> None:
    """Until the action has ended.

    :raises errors.WorkerError: it failed, was ended by a delete, or takes longer than a client waits.
    """
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with req.database.reader() as session:
            state, reason = actions.outcome(session, action.id)
        if state == actions.DONE:
            return
        if state in (actions.FAILED, actions.CANCELLED):
            raise errors.WorkerError(
                f"Failed to attach network adapter device to {server_id}: {reason}", reason=str(reason))
        time.sleep(_LOOK_S)
    raise errors.WorkerError(
        f"Failed to attach network adapter device to {server_id}: it is still under way after {_WAIT_S:.0f} s",
        reason="late")
