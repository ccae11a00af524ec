# SPDX-License-Identifier: Apache-2.0
"""The reconcilers: each takes no input but the rows, runs by period, and may run anywhere, any number of times."""

import dataclasses
from collections.abc import Callable

from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import (
    claims_audit,
    confirm_resizes,
    deferred_deletes,
    deleted_attachments,
    network_resync,
    offload_shelved,
    orphans,
    purge,
    reclaim_deleted,
)
from nova_lite.conductor.reconcilers.host_calls import HostCalls


@dataclasses.dataclass(frozen=True)
class Reconciler:
    """`work(services)` each `every` times `[conductor] reconcile_interval`, by one of the conductors."""

    work: Callable[[Services], None]
    every: int = 1

    @property
    def name(self) -> str:
        return f"{self.work.__module__}.{self.work.__name__}"


@dataclasses.dataclass(frozen=True)
class HostReconciler:
    """`work(services, host_calls)`, which waits for hosts: each conductor does it for those of the hosts that are its own."""

    work: Callable[[Services, HostCalls], None]
    every: int = 1

    @property
    def name(self) -> str:
        return f"{self.work.__module__}.{self.work.__name__}"


RECONCILERS: tuple[Reconciler | HostReconciler, ...] = (
    HostReconciler(orphans.remove, every=6),
    Reconciler(claims_audit.repair, every=12),
    Reconciler(confirm_resizes.confirm, every=2),
    Reconciler(deferred_deletes.begin),
    Reconciler(deleted_attachments.end, every=6),
    Reconciler(network_resync.resync, every=12),
    Reconciler(offload_shelved.offload, every=2),
    Reconciler(orphans.release_claims, every=2),
    Reconciler(purge.purge, every=720),
    Reconciler(reclaim_deleted.reclaim, every=2),
)


def run(reconciler: Reconciler | HostReconciler, services: Services, host_calls: HostCalls) -> None:
    """Do this conductor's part of the work, if it has one."""
    if isinstance(reconciler, HostReconciler):
        reconciler.work(services, host_calls)
    elif host_calls.owns(reconciler.name):
        reconciler.work(services)
