# SPDX-License-Identifier: Apache-2.0
"""os-interface: shows, attaches and detaches the interfaces (NICs) of one server."""

from __future__ import annotations

import random
import time
from typing import Any

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import authorization
from nova_lite.api.wsgi.request import Body, Deferred, Request, TurnTaken
from nova_lite.api.wsgi.responses import STRING, STRING_OR_NULL, Field, closed, many, page, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, READER, Rule
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.db.network import auto_networks, interfaces, networks, ports, security_groups
from nova_lite.db.network.networks import Pluggable
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import ACTIONS

_RANDOM = random.SystemRandom()
WAIT_S = 60.0  # after which Nova's clients time out
# Attaches and detaches of one server take turns; any other action under way is a refusal.
_TAKE_TURNS = ("attach_interface", "detach_interface")
_TASKS = tuple(ACTIONS[name].task for name in _TAKE_TURNS)

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
    """List the server's interfaces in the order of the guest's NICs.

    200 with them. 404: no such server in the project.
    """
    return {"interfaceAttachments": [view(FIELDS, port, req) for port in _ports(req, server_id)]}


@route("GET", "/servers/{server_id}/os-interface/{port_id}",
       policy=Rule("os_compute_api:os-attach-interfaces:show", READER), response=_ONE)
def show(req: Request, server_id: str, port_id: str) -> Body:
    """Show the interface of one port.

    200 with it. 404: no such server in the project, or the port is not the server's.
    """
    return {"interfaceAttachment": view(FIELDS, _port(req, server_id, port_id), req)}


def _port(req: Request, server_id: str, port_id: str) -> Port:
    for port in _ports(req, server_id):
        if port.id == port_id:
            return port
    raise errors.NotFound(f"Instance {server_id} does not have a port with id {port_id}")


@route("POST", "/servers/{server_id}/os-interface", policy=Rule("os_compute_api:os-attach-interfaces:create", MEMBER),
       body={"2.0": CREATE, "2.49": CREATE_TAGGED}, response=_ONE, waits=True)
def create(req: Request, server_id: str, body: Body) -> Deferred[Body]:
    """Attach a port, an existing one or one created on a network, and wait until the guest has it.

    200 with the interface. 400: net_id, port_id and fixed_ips contradict, several networks to choose from or none, or no free
    address. 403: over quota. 404: no such server, network or port in the project. 409: the server is locked, on no host, its
    state forbids it, or a port or address is in use. 500: the host could not attach it, and nothing of it remains. 503: too
    many requests wait for workers, or a worker of the host is of an earlier release.
    """
    params = body["interfaceAttachment"]
    if params.get("net_id") and params.get("port_id"):
        raise errors.BadRequest(reason="Must not input both network_id and port_id")
    if params.get("fixed_ips") and not params.get("net_id"):
        raise errors.BadRequest(reason="Must input network_id when request IP address")
    server = begin_action.find(req, server_id)
    action = _begin_in_turn(req, server, "attach_interface")
    begin_action.refuse_outdated_host(req, server, "attach_interface", needs=(hosts.COMPUTE, hosts.NETWORK))
    port_id = _bind_port(req, server, params)
    action.inputs = {"port_id": port_id}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action.id)
    return Deferred(lambda: _attached(req, action, port_id))


def _begin_in_turn(req: Request, server: Server, name: str) -> Action:
    """Claim the server for an attach or a detach, once no other one is under way.

    :raises TurnTaken: another one is. :raises errors.WrongState: any other action is, or the turn takes longer than WAIT_S.
    """
    try:
        action, _ = begin_action.begin_on_host(req, server, name)
    except errors.WrongState as error:
        if error.kwargs["state"] not in _TASKS or time.monotonic() >= req.began + WAIT_S:
            raise
        first = actions.open_action(req.db, server.id, names=_TAKE_TURNS)
        raise TurnTaken(lambda: req.waiting.wait_for_end(first, deadline=req.began + WAIT_S)) from None
    return action


def _attached(req: Request, action: Action, port_id: str) -> Body:
    """The interface, once the guest has it.

    :raises errors.WorkerError: the action failed, was ended by a delete, or takes longer than WAIT_S.
    """
    outcome = req.waiting.wait_for_end(action.id, deadline=req.began + WAIT_S)
    state, reason = outcome or ("", f"it is still under way after {WAIT_S:.0f} s")
    if state != actions.DONE:
        raise errors.WorkerError(
            f"Failed to attach network adapter device to {action.resource_id}: {reason}", reason=str(reason))
    with req.database.reader() as session:
        port = ports.get(session, port_id)
    return {"interfaceAttachment": view(FIELDS, port, req)}


def _bind_port(req: Request, server: Server, params: dict[str, Any]) -> str:
    """Bind the requested port to the server, or create one; the port's id."""
    position = interfaces.next_position(req.db, server.id)
    if params.get("port_id"):
        port = _existing_port(req, server, params["port_id"], position=position)
    else:
        port = _new_port(req, server, params, position=position)
    interfaces.place(req.db, port, host=server.host, tag=params.get("tag"))
    return port.id


def _existing_port(req: Request, server: Server, port_id: str, *, position: int) -> Port:
    """:raises errors.NotFound: there is no such port. :raises errors.Conflict: a server has it."""
    try:
        return ports.bind_given(req.db, port_id, server.id, project_id=server.project_id, position=position)
    except errors.InUse as error:
        raise errors.Conflict(reason=error.text) from None
    except errors.NotFound:
        raise errors.NotFound(f"Port id {port_id} could not be found.", what="Port", id=port_id) from None


def _new_port(req: Request, server: Server, params: dict[str, Any], *, position: int) -> Port:
    network = _network(req, server, params.get("net_id"))
    groups = [security_groups.default_id(req.db, server.project_id)] if network.port_security_enabled else []
    fixed_ip = params["fixed_ips"][0]["ip_address"] if params.get("fixed_ips") else None
    try:
        port_id = ports.make_for_server(
            req.db, server_id=server.id, project_id=server.project_id, network=network, fixed_ip=fixed_ip,
            group_ids=groups, position=position, rng=_RANDOM)
    except errors.NoCapacity as error:
        raise errors.BadRequest(reason=f"No fixed IP addresses available for network: {network.id}") from error
    authorization.check_port_quota(req, server.project_id)  # after the rows: docs/decisions/0024
    return ports.get(req.db, port_id)


def _network(req: Request, server: Server, network_id: str | None) -> Pluggable:
    """The requested network, else the only one that the server's project may use.

    :raises errors.NotFound: it does not exist. :raises errors.BadRequest: the project may use none, or several.
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
       policy=Rule("os_compute_api:os-attach-interfaces:delete", MEMBER), status=202, waits=True)
def delete(req: Request, server_id: str, port_id: str) -> None:
    """Detach a port; one that was created for the server is deleted, any other can be attached again.

    202 with no body. 404: no such server in the project, or the port is not the server's. 409: the server is locked, on no
    host, or its state forbids it. 503: too many requests wait for workers.
    """
    server = begin_action.find(req, server_id)
    if all(port.id != port_id for port in ports.of_servers(req.db, [server.id])[server.id]):
        raise errors.NotFound(f"Port id {port_id} could not be found.", what="Port", id=port_id)
    action = _begin_in_turn(req, server, "detach_interface")
    action.inputs = {"port_id": port_id}
    req.after_commit(req.rpc.conductor.run, req.ctxt, action_id=action.id)
