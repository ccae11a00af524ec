# SPDX-License-Identifier: Apache-2.0
"""nova-volume of a cloud in one process, with simulated volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite.rpc.volume import VolumeRpc
from nova_lite.volume import backends
from nova_lite.volume.backups import configured
from nova_lite.volume.driver import Backend
from nova_lite.volume.fake import FakeExports, FakePool
from nova_lite.volume.images import Images
from nova_lite.volume.operations.backups import Backups
from nova_lite.volume.operations.exports import Exports
from nova_lite.volume.operations.inventory import Inventory
from nova_lite.volume.operations.snapshots import Snapshots
from nova_lite.volume.operations.uploads import Upload, Uploads
from nova_lite.volume.operations.volumes import Volumes
from nova_lite.volume.records import Records
from nova_lite.volume.worker import Worker
from nova_lite.worker.step_reports import StepReports
from tests.support.flows.together import Together

# What a volume worker is sent by casts.
STEPS = tuple(name for name, method in VolumeRpc.methods().items() if not method.rpc_contract.is_call)  # type: ignore[attr-defined]
POOL = "node@local#local"


def make(conf: cfg.ConfigOpts, reports: Any, *, upload: Upload) -> tuple[Worker, Together]:
    """The worker, opened, and its endpoints; `reports`: the conductor."""
    records = Records(Path(conf.state_path) / "volume", is_durable=False)
    records.load()
    opened = backends.Backends(backends.make(conf), host=conf.host, records=records)
    opened.open()
    images = Images(conf)
    worker = Worker(name=conf.host, backends=opened, records=records, reports=StepReports(reports, kind="volume", host=conf.host))
    return worker, Together(Backups(worker, images=images, archive=configured.archive(conf)), Exports(worker), Inventory(worker), Snapshots(worker), Volumes(worker, images=images),
                            Uploads(worker, images=images, upload=upload, timeout_s=1))


class _Options:
    """Of a backend that is not in nova.conf."""

    reserved_percentage, max_over_subscription_ratio = 0, 20.0

    def __init__(self, name: str, host: str) -> None:
        self.name = self.backend_name = name
        self.host = host


def add_backend(worker: Worker, name: str) -> None:
    """The worker has one more, of simulated volumes."""
    pool = FakePool(_Options(name, worker.name))
    worker.backends._backends[name] = Backend(name, pool, FakeExports(pool), keeps_volumes=False)
    worker.backends._troubles[name] = "it was not opened yet"
    worker.backends.open()
