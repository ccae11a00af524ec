# SPDX-License-Identifier: Apache-2.0
"""Actions inside the guest: its password, a crash dump, and the network data of its metadata."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, MEMBER, Rule
from nova_lite.db.hosts import hosts

_PASSWORD = schemas.keyed("changePassword", schemas.closed(
    {"adminPass": {"type": "string", "maxLength": 255}}, required=("adminPass",)))


@action("changePassword", policy=Rule("os_compute_api:os-admin-password", MEMBER), body={"2.0": _PASSWORD},
        waits=True)
def change_password(req: Request, body: Body, server_id: str) -> Deferred[None]:
    """Set the administrator's password through the guest agent, and wait for it.

    202 with no body once it is set. 404: no such server in the project. 409: it is locked or not ACTIVE, or the guest agent
    does not answer or refuses. 503: the host's nova-compute does not answer or is of an earlier release, or too many requests wait for workers.
    """
    server = begin_action.find(req, server_id)
    begin_action.refuse_outdated_host(req, server, "change_password", needs=(hosts.COMPUTE,))
    order, agent = begin_action.begin_host_step(req, server, "change_password")

    def change() -> None:
        try:
            req.rpc.compute(agent).change_password(
                req.ctxt, server_id=server_id, order=order, password=body["changePassword"]["adminPass"])
        except errors.WorkerError as error:
            raise errors.Conflict(reason=f"Failed to set admin password on {server_id}: {error.text}") from None

    return Deferred(change)


@action("trigger_crash_dump", policy=Rule("os_compute_api:servers:trigger_crash_dump", MEMBER), since="2.17",
        body={"2.17": schemas.keyed("trigger_crash_dump", {"type": "null"})})
def trigger_crash_dump(req: Request, body: Body, server_id: str) -> None:
    """Send an NMI: a guest that is set up for it dumps its memory.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or its state forbids it.
    """
    server = begin_action.find(req, server_id)
    order, agent = begin_action.begin_host_step(req, server, "trigger_crash_dump")
    req.after_commit(req.rpc.compute(agent).trigger_crash_dump, req.ctxt, server_id=server.id, order=order)


@action("injectNetworkInfo", policy=Rule("os_compute_api:os-admin-actions:inject_network_info", ADMIN),
        body={"2.0": schemas.empty_action("injectNetworkInfo")})
def inject_network_info(req: Request, body: Body, server_id: str) -> None:
    """Refresh the network data of the guest's metadata.

    202 with no body. 404: no such server. 409: it is on no host.
    """
    server = begin_action.find(req, server_id)
    if server.agent is None:
        raise errors.Conflict(reason=f"Instance {server_id} is not ready")
    req.after_commit(req.rpc.conductor.refresh_documents, req.ctxt, server_id=server.id)


@action("resetNetwork", policy=Rule("os_compute_api:os-admin-actions:reset_network", ANYONE), status=410,
        body={"2.0": schemas.empty_action("resetNetwork")})
def reset_network(req: Request, body: Body, server_id: str) -> None:
    """410: Nova removed the action together with the XenAPI driver."""
    raise errors.Gone(reason="The resetNetwork action was removed together with the XenAPI driver")
