# SPDX-License-Identifier: Apache-2.0
"""nova-volume of a cloud in one process, with simulated volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite.rpc.volume import VolumeRpc
from nova_lite.volume import backends
from nova_lite.volume.images import Images
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
    return worker, Together(Exports(worker), Inventory(worker), Snapshots(worker), Volumes(worker, images=images),
                            Uploads(worker, images=images, upload=upload, timeout_s=1))
