# SPDX-License-Identifier: Apache-2.0
"""Operations that make volumes reachable for attachments, and end that."""

from __future__ import annotations

from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Export
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.records import Phase
from nova_lite.volume.worker import Operation, Step, Worker


class Exports:
    """RPC endpoint."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def export_volume(self, ctxt: Context, *, export: Export, order: Order) -> None:
        def work(operation: Operation) -> None:
            exports = operation.backend.exports
            with operation.making(lambda: exports.unexport(export)):
                fail("volume.export.record")
                # An extend whose guest was gone before it could grow the file left that to the next export.
                operation.backend.pool.extend(export.volume, is_in_use=operation.is_in_use)
                operation.result["connection_info"] = exports.export(export)
                fail("volume.export.made")

        self._worker.run(ctxt, Step(export, order, "export_volume"), work)

    def unexport_volume(self, ctxt: Context, *, export: Export, order: Order) -> None:
        def work(operation: Operation) -> None:
            operation.put(Phase.REMOVING)
            fail("volume.unexport.record")
            operation.backend.exports.unexport(export)
            fail("volume.unexport.removed")

        self._worker.run(ctxt, Step(export, order, "unexport_volume", removes=True), work)
