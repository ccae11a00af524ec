# SPDX-License-Identifier: Apache-2.0
"""What conductors report to nova-api: that an action, for whose end a request may be waiting, has ended."""

from __future__ import annotations

from nova_lite.context import Context
from nova_lite.rpc.interface import Interface, cast


class ApiRpc(Interface):
    """What other services may cast to nova-api."""

    topic, version = "api", "1.0"

    @cast(since="1.0", fanout=True)
    def action_ended(self, ctxt: Context, *, action_id: int) -> None:
        """The action has ended, and its row says how: requests that wait for it read it now."""
