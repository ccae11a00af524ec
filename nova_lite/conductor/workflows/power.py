# SPDX-License-Identifier: Apache-2.0
"""Power of a guest, and other operations that its host does alone: the API casts their one host step itself."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.workflow import Act, ControlStep, Deadline, HostStep, Run, WhenDown, Workflow
from nova_lite.conductor.steps import find_host
from nova_lite.conductor.steps.find_host import OnHost
from nova_lite.db.compute import servers
from nova_lite.lifecycle.servers import ACTIONS, FIND_SERVER
from nova_lite.rpc.compute import ComputeRpc, RebootType


def _find_server(services: Services, run: Run[OnHost]) -> OnHost:
    return OnHost(*find_host.find_host(services, run.resource_id))


def _workflow(name: str, send: Act[OnHost] | None) -> Workflow[OnHost]:
    """The workflow of an action that leaves the server as it was when it fails."""

    def record(session: Session, run: Run[OnHost]) -> None:
        servers.finish(session, run.resource_id, name, power_state=run.power_state)

    def failed(session: Session, run: Run[OnHost], error: errors.NovaLiteError) -> None:
        servers.abandon(session, run.resource_id, name, fault=None, is_fatal=False)

    return Workflow(
        name, OnHost,
        (
            ControlStep(FIND_SERVER, _find_server),
            HostStep(ACTIONS[name].host_step, find_host.agent, send, record=record, when_down=WhenDown.WAIT),
        ),
        failed=failed, deadline=Deadline.QUICK)


def _power(name: str, method: Callable[[ComputeRpc], Callable[..., None]]) -> Workflow[OnHost]:
    def send(services: Services, run: Run[OnHost]) -> None:
        method(services.compute(run.state.agent))(run.ctxt, server_id=run.resource_id, order=run.order)

    return _workflow(name, send)


def _reboot(name: str, reboot_type: RebootType) -> Workflow[OnHost]:
    def send(services: Services, run: Run[OnHost]) -> None:
        services.compute(run.state.agent).reboot(run.ctxt, server_id=run.resource_id, order=run.order, reboot_type=reboot_type)

    return _workflow(name, send)


START = _power("start", lambda worker: worker.start)
STOP = _power("stop", lambda worker: worker.stop)
REBOOT_SOFT = _reboot("reboot_soft", RebootType.SOFT)
REBOOT_HARD = _reboot("reboot_hard", RebootType.HARD)
PAUSE = _power("pause", lambda worker: worker.pause)
UNPAUSE = _power("unpause", lambda worker: worker.unpause)
SUSPEND = _power("suspend", lambda worker: worker.suspend)
RESUME = _power("resume", lambda worker: worker.resume)
TRIGGER_CRASH_DUMP = _power("trigger_crash_dump", lambda worker: worker.trigger_crash_dump)
# Nobody can send it again: the password is not kept.
CHANGE_PASSWORD = _workflow("change_password", None)
