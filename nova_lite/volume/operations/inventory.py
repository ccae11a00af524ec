# SPDX-License-Identifier: Apache-2.0
"""What a conductor may learn of this worker: what it has, and what is under way."""

from __future__ import annotations

from nova_lite.context import Context
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import OwnedVolumes
from nova_lite.volume.worker import Worker


class Inventory:
    """RPC endpoint."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        return self._worker.underway.among(orders)

    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedVolumes:
        owned = self._worker.records.owned()
        return OwnedVolumes(is_as_expected=True) if owned.digest == digest else owned
