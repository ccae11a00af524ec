# SPDX-License-Identifier: Apache-2.0
"""A server that was deleted softly: back to life, or gone for good."""

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
    """Bring back what was deleted softly, powered on; what was shelved and on no host is so again.

    :raises errors.OverQuota: its place in the quota was taken meanwhile.
    """
    server = begin_action.find(req, server_id)
    asked = begin_action.begin(req, server, "restore")
    QuotaUsage.of(req, project_id=server.project_id).servers(server, (1, 1), ports_each=0, metadata={})
    deletion.ask_host(req, server, "restore", action_id=asked.id)


@action("forceDelete", policy=Rule("os_compute_api:os-deferred-delete:force", MEMBER),
        body={"2.0": schemas.empty_action("forceDelete")})
def force_delete(req: Request, body: Body, server_id: str) -> None:
    """Delete for good, whatever the cloud keeps deleted servers for."""
    deletion.delete_for_good(req, begin_action.find(req, server_id))
