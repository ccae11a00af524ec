# SPDX-License-Identifier: Apache-2.0
"""start, stop, reboot, pause, unpause, suspend, resume: each is one cast to the worker of the server's host."""

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
    """Claim the server for the action, then cast to its worker; `more` are further arguments of the message."""
    server = begin_action.find(req, server_id)
    order, agent = begin_action.begin_host_step(req, server, name)
    if overtaken := ACTIONS[name].overtaken:
        actions.cancel_open(req.db, server_id=server.id, before=order.action, names=overtaken, reason="A hard reboot replaced it.")
    req.after_commit(send(req.rpc.compute(agent)), req.ctxt, server_id=server.id, order=order, **more)


@action("os-start", policy=Rule("os_compute_api:servers:start", MEMBER),
        body={"2.0": schemas.empty_action("os-start")})
def start(req: Request, body: Body, server_id: str) -> None:
    """Power the guest on.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not SHUTOFF.
    """
    _cast(req, server_id, "start", lambda worker: worker.start)


@action("os-stop", policy=Rule("os_compute_api:servers:stop", MEMBER), body={"2.0": schemas.empty_action("os-stop")})
def stop(req: Request, body: Body, server_id: str) -> None:
    """Power the guest off, first by an ACPI shutdown request.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or neither ACTIVE nor ERROR.
    """
    _cast(req, server_id, "stop", lambda worker: worker.stop)


@action("reboot", policy=Rule("os_compute_api:servers:reboot", MEMBER), body={"2.0": _REBOOT})
def reboot(req: Request, body: Body, server_id: str) -> None:
    """Reboot: SOFT requests it from the guest, HARD cuts its power, also during a reboot, pause or suspend that hangs.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or its state forbids it.
    """
    kind = RebootType(body["reboot"]["type"].upper())
    _cast(req, server_id, f"reboot_{kind.lower()}", lambda worker: worker.reboot, reboot_type=kind)


@action("pause", policy=Rule("os_compute_api:os-pause-server:pause", MEMBER),
        body={"2.0": schemas.empty_action("pause")})
def pause(req: Request, body: Body, server_id: str) -> None:
    """Freeze the guest's CPUs; memory stays allocated.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not ACTIVE.
    """
    _cast(req, server_id, "pause", lambda worker: worker.pause)


@action("unpause", policy=Rule("os_compute_api:os-pause-server:unpause", MEMBER),
        body={"2.0": schemas.empty_action("unpause")})
def unpause(req: Request, body: Body, server_id: str) -> None:
    """Let a paused guest continue.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not PAUSED.
    """
    _cast(req, server_id, "unpause", lambda worker: worker.unpause)


@action("suspend", policy=Rule("os_compute_api:os-suspend-server:suspend", MEMBER),
        body={"2.0": schemas.empty_action("suspend")})
def suspend(req: Request, body: Body, server_id: str) -> None:
    """Save the guest's memory to its host's disk and power it off.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not ACTIVE.
    """
    _cast(req, server_id, "suspend", lambda worker: worker.suspend)


@action("resume", policy=Rule("os_compute_api:os-suspend-server:resume", MEMBER),
        body={"2.0": schemas.empty_action("resume")})
def resume(req: Request, body: Body, server_id: str) -> None:
    """Restore a suspended guest's memory and let it continue.

    202 with no body. 404: no such server in the project. 409: it is locked, on no host, or not SUSPENDED.
    """
    _cast(req, server_id, "resume", lambda worker: worker.resume)
