# SPDX-License-Identifier: Apache-2.0
"""Power of one server: start, stop, reboot, pause, unpause, suspend, resume; each is one cast to its host's worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.compute import actions
from nova_lite.lifecycle.servers import ACTIONS
from nova_lite.rpc.compute import ComputeRpc, RebootType

_REBOOT = schemas.keyed("reboot", schemas.closed(
    {"type": {"enum": ["HARD", "Hard", "hard", "SOFT", "Soft", "soft"]}}, required=("type",)))


def _cast(
    req: Request, server_id: str, name: str, send: Callable[[ComputeRpc], Callable[..., None]], **more: Any
) -> None:
    """Claim the server for the action, then tell its worker; `more` are further arguments of the message."""
    server = begin_action.find(req, server_id)
    asked, agent = begin_action.begin_on_host(req, server, name)
    if overtaken := ACTIONS[name].overtaken:
        actions.cancel_open(req.db, server_id=server.id, before=asked.id, names=overtaken, reason="A hard reboot took its place.")
    req.after_commit(send(req.rpc.compute(agent)), req.ctxt, server_id=server.id, action_id=asked.id, **more)


@action("os-start", policy=Rule("os_compute_api:servers:start", MEMBER),
        body={"2.0": schemas.empty_action("os-start")})
def start(req: Request, body: Body, server_id: str) -> None:
    """Power the guest on."""
    _cast(req, server_id, "start", lambda worker: worker.start)


@action("os-stop", policy=Rule("os_compute_api:servers:stop", MEMBER), body={"2.0": schemas.empty_action("os-stop")})
def stop(req: Request, body: Body, server_id: str) -> None:
    """Power the guest off; it is asked by ACPI first."""
    _cast(req, server_id, "stop", lambda worker: worker.stop)


@action("reboot", policy=Rule("os_compute_api:servers:reboot", MEMBER), body={"2.0": _REBOOT})
def reboot(req: Request, body: Body, server_id: str) -> None:
    """SOFT asks the guest, HARD cuts its power, also in the middle of a reboot, a pause or a suspend that hangs."""
    kind = RebootType(body["reboot"]["type"].upper())
    _cast(req, server_id, f"reboot_{kind.lower()}", lambda worker: worker.reboot, reboot_type=kind)


@action("pause", policy=Rule("os_compute_api:os-pause-server:pause", MEMBER),
        body={"2.0": schemas.empty_action("pause")})
def pause(req: Request, body: Body, server_id: str) -> None:
    """Freeze the guest's CPUs; memory stays allocated."""
    _cast(req, server_id, "pause", lambda worker: worker.pause)


@action("unpause", policy=Rule("os_compute_api:os-pause-server:unpause", MEMBER),
        body={"2.0": schemas.empty_action("unpause")})
def unpause(req: Request, body: Body, server_id: str) -> None:
    """Let a paused guest go on."""
    _cast(req, server_id, "unpause", lambda worker: worker.unpause)


@action("suspend", policy=Rule("os_compute_api:os-suspend-server:suspend", MEMBER),
        body={"2.0": schemas.empty_action("suspend")})
def suspend(req: Request, body: Body, server_id: str) -> None:
    """Save the guest's memory to its host's disk and power it off."""
    _cast(req, server_id, "suspend", lambda worker: worker.suspend)


@action("resume", policy=Rule("os_compute_api:os-suspend-server:resume", MEMBER),
        body={"2.0": schemas.empty_action("resume")})
def resume(req: Request, body: Body, server_id: str) -> None:
    """Restore a suspended guest's memory and let it go on."""
    _cast(req, server_id, "resume", lambda worker: worker.resume)
