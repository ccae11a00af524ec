# SPDX-License-Identifier: Apache-2.0
"""addSecurityGroup and removeSecurityGroup: change all ports of a server and push that to the hosts."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.network import network_sync
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute.servers import Server
from nova_lite.db.network import ports, security_groups
from nova_lite.db.network.ports import Port
from nova_lite.db.network.security_groups import DEFAULT, SecurityGroup


def _schema(action_name: str) -> schemas.Schema:
    name = {"type": "string", "minLength": 1, "maxLength": 255}
    return schemas.keyed(action_name, schemas.closed({"name": name}, required=("name",)))


@action("addSecurityGroup", policy=Rule("os_compute_api:os-security-groups:add", MEMBER),
        body={"2.0": _schema("addSecurityGroup")})
def add(req: Request, body: Body, server_id: str) -> None:
    """Add the security group, by name or id, to every port of the server.

    202 with no body. 400: a port has no port security or no address. 404: no such server in the project, no such group, or
    the server has no port. 409: several groups have the name.
    """
    server = begin_action.find(req, server_id)
    group = _group(req, server, body["addSecurityGroup"]["name"])
    server_ports = _ports(req, server)
    if not server_ports:
        raise errors.NotFound(f"instance_id {server.id} could not be found as device id on any ports")
    for port in server_ports:
        if not port.port_security_enabled or not port.addresses:
            raise errors.BadRequest(reason="Network requires port_security_enabled and subnet associated in order "
                                           "to apply security groups.")
        ports.regroup(req.db, port, sorted({*_ids(port), group.id}))
    _push(req, server)


@action("removeSecurityGroup", policy=Rule("os_compute_api:os-security-groups:remove", MEMBER),
        body={"2.0": _schema("removeSecurityGroup")})
def remove(req: Request, body: Body, server_id: str) -> None:
    """Remove the security group from every port of the server that has it.

    202 with no body. 404: no such server in the project, no such group, or no port has it. 409: several groups have the name.
    """
    server = begin_action.find(req, server_id)
    group = _group(req, server, body["removeSecurityGroup"]["name"])
    members = [port for port in _ports(req, server) if group.id in _ids(port)]
    if not members:
        raise errors.NotFound(
            f"Security group {body['removeSecurityGroup']['name']} not associated with the instance {server.id}")
    for port in members:
        ports.regroup(req.db, port, sorted(_ids(port) - {group.id}))
    _push(req, server)


def _ports(req: Request, server: Server) -> list[Port]:
    return ports.of_servers(req.db, [server.id])[server.id]


def _ids(port: Port) -> set[str]:
    return {member.group_id for member in port.security_groups}


def _group(req: Request, server: Server, name_or_id: str) -> SecurityGroup:
    """The security group of the server's project with this id, else with this name.

    :raises errors.NotFound: there is none. :raises errors.Conflict: several have the name.
    """
    def find(column: str) -> list[SecurityGroup]:
        return security_groups.find(req.db, project_id=server.project_id, filters={column: [name_or_id]})

    matches = find("id") or find("name")
    if not matches and name_or_id == DEFAULT:
        matches = [security_groups.default(req.db, server.project_id)]
    if not matches:
        raise errors.NotFound(f"Security group {name_or_id} not found for project {server.project_id}.")
    if len(matches) > 1:
        raise errors.Conflict(reason=f"Multiple security_group matches found for name '{name_or_id}', use an ID to be more "
                                     "specific.")
    return matches[0]


def _push(req: Request, server: Server) -> None:
    network_sync.servers(req, [server.id])
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)
