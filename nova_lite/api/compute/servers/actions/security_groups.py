# SPDX-License-Identifier: Apache-2.0
"""Security groups of a server, put on and taken off all its ports; hosts filter by them at once."""

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


def _asked(word: str) -> schemas.Schema:
    name = {"type": "string", "minLength": 1, "maxLength": 255}
    return schemas.keyed(word, schemas.closed({"name": name}, required=("name",)))


@action("addSecurityGroup", policy=Rule("os_compute_api:os-security-groups:add", MEMBER),
        body={"2.0": _asked("addSecurityGroup")})
def add(req: Request, body: Body, server_id: str) -> None:
    """Put the group, by name or id, on every port.

    :raises errors.NotFound: no such group, or no port. :raises errors.BadRequest: a port takes no groups.
    """
    server = begin_action.find(req, server_id)
    group = _group(req, server, body["addSecurityGroup"]["name"])
    plugged = _ports(req, server)
    if not plugged:
        raise errors.NotFound(f"instance_id {server.id} could not be found as device id on any ports")
    for port in plugged:
        if not port.port_security_enabled or not port.addresses:
            raise errors.BadRequest(reason="Network requires port_security_enabled and subnet associated in order "
                                           "to apply security groups.")
        ports.regroup(req.db, port, sorted({*_ids(port), group.id}))
    _tell(req, server, group)


@action("removeSecurityGroup", policy=Rule("os_compute_api:os-security-groups:remove", MEMBER),
        body={"2.0": _asked("removeSecurityGroup")})
def remove(req: Request, body: Body, server_id: str) -> None:
    """Take the group off every port that has it.

    :raises errors.NotFound: no such group, or no port has it.
    """
    server = begin_action.find(req, server_id)
    group = _group(req, server, body["removeSecurityGroup"]["name"])
    having = [port for port in _ports(req, server) if group.id in _ids(port)]
    if not having:
        raise errors.NotFound(
            f"Security group {body['removeSecurityGroup']['name']} not associated with the instance {server.id}")
    for port in having:
        ports.regroup(req.db, port, sorted(_ids(port) - {group.id}))
    _tell(req, server, group)


def _ports(req: Request, server: Server) -> list[Port]:
    return ports.of_servers(req.db, [server.id])[server.id]


def _ids(port: Port) -> set[str]:
    return {member.group_id for member in port.security_groups}


def _group(req: Request, server: Server, word: str) -> SecurityGroup:
    """The group of the server's project with this id, or else this name.

    :raises errors.NotFound: none. :raises errors.Conflict: several have the name.
    """
    def find(column: str) -> list[SecurityGroup]:
        return security_groups.find(req.db, project_id=server.project_id, filters={column: [word]})

    found = find("id") or find("name")
    if not found and word == DEFAULT:
        found = [security_groups.default(req.db, server.project_id)]
    if not found:
        raise errors.NotFound(f"Security group {word} not found for project {server.project_id}.")
    if len(found) > 1:
        raise errors.Conflict(reason=f"Multiple security_group matches found for name '{word}', use an ID to be more "
                                     "specific.")
    return found[0]


def _tell(req: Request, server: Server, group: SecurityGroup) -> None:
    network_sync.groups(req, [group.id])
    network_sync.servers(req, [server.id])
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)
