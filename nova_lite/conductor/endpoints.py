# SPDX-License-Identifier: Apache-2.0
"""The engine on the message bus: work that begins, and reports of steps that workers have done."""

from __future__ import annotations

from nova_lite.conductor.engine.engine import Engine
from nova_lite.context import Context
from nova_lite.rpc.conductor import StepReport


class Workflows:
    """Endpoint: actions begin and go on."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def run(self, ctxt: Context, *, action_id: int) -> None:
        self._engine.start(action_id, project_id=ctxt.project_id)

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self._engine.report(report)
