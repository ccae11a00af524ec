# SPDX-License-Identifier: Apache-2.0
"""The reconcilers: each takes no input but the rows, runs by period, and may run anywhere, any number of times."""

import dataclasses
from collections.abc import Callable

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import (
    claims_audit,
    confirm_resizes,
    deferred_deletes,
    network_resync,
    offload_shelved,
    orphans,
    purge,
    reclaim_deleted,
)
from nova_lite.conductor.reconcilers.host_calls import HostCalls


@dataclasses.dataclass(frozen=True)
class Reconciler:
    """`work(services)` each `every` times `[conductor] reconcile_interval`."""

    work: Callable[[Services], None]
    every: int = 1


@dataclasses.dataclass(frozen=True)
class HostReconciler:
    """`work(services, host_calls)`, which calls hosts and waits for their answers, as a Reconciler's."""

    work: Callable[[Services, HostCalls], None]
    every: int = 1


RECONCILERS: tuple[Reconciler | HostReconciler, ...] = (
    HostReconciler(orphans.remove, every=2), Reconciler(orphans.release_claims, every=2), Reconciler(network_resync.resync, every=12),
    Reconciler(offload_shelved.offload, every=2), Reconciler(reclaim_deleted.reclaim, every=2), Reconciler(confirm_resizes.confirm, every=2),
    Reconciler(deferred_deletes.begin), Reconciler(claims_audit.repair, every=12), Reconciler(purge.purge, every=720),
)
