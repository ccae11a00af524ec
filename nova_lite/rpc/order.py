# SPDX-License-Identifier: Apache-2.0
"""The order of requests to workers about one resource: carried by each request, and by each report on it."""

from __future__ import annotations

from nova_lite.rpc.payload import payload

# Undos count down from here: each comes after all steps of its attempt.
LAST_SEQUENCE = 9999


@payload(version=1)
class Order:
    """One step of one attempt of an action, or its undo. Requests about one resource are done in this order.

    `epoch` is the database's: it grows whenever rows were lost, so that no order is issued twice. `nonce` is the
    action's: two orders that are equal but for it come from two databases.
    """

    epoch: int
    action: int
    attempt: int = 1
    sequence: int = 0
    nonce: str = ""

    @property
    def key(self) -> tuple[int, int, int, int]:
        return self.epoch, self.action, self.attempt, self.sequence

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.key)


# Before every order: what a host knows of a resource that it never had.
NEVER = Order(epoch=0, action=0, attempt=0)
