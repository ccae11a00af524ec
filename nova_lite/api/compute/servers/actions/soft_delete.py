# SPDX-License-Identifier: Apache-2.0
"""restore and forceDelete: a soft-deleted server comes back, or is deleted for good."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action, deletion
from nova_lite.api.compute.servers.quota_check import QuotaUsage
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule


@action("restore", policy=Rule("os_compute_api:os-deferred-delete:restore", MEMBER),
        body={"2.0": schemas.empty_action("restore")})
def restore(req: Request, body: Body, server_id: str) -> None:
    """Restore a soft-deleted server, powered on; one that was offloaded is offloaded again.

    202 with no body. 403: over quota, which a soft-deleted server does not count against. 404: no such server in the
    project. 409: it is locked, or not SOFT_DELETED.
    """
    server = begin_action.find(req, server_id)
    if server.agent is None:  # on no host there is nothing to be done but to record it
        begin_action.begin_workflow(req, server, "restore")
    else:
        order, agent = begin_action.begin_host_step(req, server, "restore")
        req.after_commit(req.rpc.compute(agent).restore, req.ctxt, server_id=server.id, order=order)
    QuotaUsage.of(req, project_id=server.project_id).servers(server, (1, 1), ports_each=0, metadata={})


@action("forceDelete", policy=Rule("os_compute_api:os-deferred-delete:force", MEMBER),
        body={"2.0": schemas.empty_action("forceDelete")})
def force_delete(req: Request, body: Body, server_id: str) -> None:
    """Delete for good, also where `[compute] reclaim_instance_interval` would keep the server.

    202 with no body. 404: no such server in the project. 409: it is locked.
    """
    deletion.delete_for_good(req, begin_action.find(req, server_id))
