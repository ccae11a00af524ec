# SPDX-License-Identifier: Apache-2.0
"""The reconcilers: each takes no input but the rows, runs by period, and may run anywhere, any number of times."""

import dataclasses
from collections.abc import Callable

from nova_lite.conductor.reconcilers import (
    deleted_rows,
    lost_hints,
    network_drift,
    orphans,
    shelved,
    soft_deleted,
    unconfirmed_resizes,
    waiting_deletes,
)
from nova_lite.conductor.world import World


@dataclasses.dataclass(frozen=True)
class Reconciler:
    """`work(world)` each `every` times `[conductor] reconcile_interval`."""

    work: Callable[[World], None]
    every: int = 1


RECONCILERS = (
    Reconciler(lost_hints.send_again), Reconciler(orphans.remove, every=2), Reconciler(network_drift.tell_again, every=12),
    Reconciler(shelved.offload, every=2), Reconciler(soft_deleted.reclaim, every=2), Reconciler(unconfirmed_resizes.confirm, every=2),
    Reconciler(waiting_deletes.begin), Reconciler(deleted_rows.purge, every=720),
)
