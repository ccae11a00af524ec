# SPDX-License-Identifier: Apache-2.0
"""What tests of a compute worker need no conductor for: the methods of its contract that such a worker does not call, or with no answer."""

from __future__ import annotations

from nova_lite.context import Context
from nova_lite.rpc.audit import AuditReport
from nova_lite.rpc.network import Forwarding, NetworkState


class NotForCompute:
    """Base of a test's conductor, which has what it looks at beside these."""

    def refresh_documents(self, ctxt: Context, *, server_id: str) -> None:
        raise AssertionError("a worker does not call this")

    def cache_images(self, ctxt: Context, *, image_ids: tuple[str, ...], hosts: tuple[str, ...]) -> None:
        raise AssertionError("a worker does not call this")

    def push_network(self, ctxt: Context) -> None:
        """A compute worker does not send this."""

    def network_state(
        self, ctxt: Context, *, agent: str, group_ids: tuple[str, ...], network_ids: tuple[str, ...], server_ids: tuple[str, ...]
    ) -> NetworkState:
        return NetworkState()

    def cloud_addresses(self, ctxt: Context) -> tuple[str, ...]:
        return ()

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        return ()

    def audit(self, ctxt: Context, *, settled_s: float) -> AuditReport:
        raise AssertionError("a worker does not call this")

    def repair(self, ctxt: Context) -> None:
        raise AssertionError("a worker does not call this")

    def post_password(self, ctxt: Context, *, server_id: str, password: str) -> None:
        raise AssertionError("a worker does not call this")
