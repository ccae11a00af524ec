# SPDX-License-Identifier: Apache-2.0
"""Operations that make and remove snapshots of volumes."""

from __future__ import annotations

from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Snapshot
from nova_lite.runtime.failpoints import fail
from nova_lite.volume.records import Phase
from nova_lite.volume.worker import Operation, Step, Worker


class Snapshots:
    """RPC endpoint."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def create_snapshot(self, ctxt: Context, *, snapshot: Snapshot, order: Order) -> None:
        def work(operation: Operation) -> None:
            pool = operation.backend.pool
            with operation.making(lambda: pool.delete_snapshot(snapshot)):
                fail("volume.create_snapshot.record")
                operation.result["frozen_by"] = str(pool.create_snapshot(snapshot, is_in_use=operation.is_in_use))
                fail("volume.create_snapshot.made")

        self._worker.run(ctxt, Step(snapshot, order, "create_snapshot"), work)

    def delete_snapshot(self, ctxt: Context, *, snapshot: Snapshot, order: Order) -> None:
        def work(operation: Operation) -> None:
            operation.put(Phase.REMOVING)
            fail("volume.delete_snapshot.record")
            operation.backend.pool.delete_snapshot(snapshot)
            fail("volume.delete_snapshot.removed")

        self._worker.run(ctxt, Step(snapshot, order, "delete_snapshot", removes=True), work)
