# SPDX-License-Identifier: Apache-2.0
"""A volume worker's parts on the fake driver, with a conductor that only listens."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nova_lite.context import Context
from nova_lite.rpc.compute import Image, ImageUpload
from nova_lite.rpc.conductor import ConductorRpc, Outcome, ServiceReport, StepReport
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Connector, Content, Export, Snapshot, Volume
from nova_lite.volume import backends
from nova_lite.volume.backups import configured
from nova_lite.volume.backups.archive import Archive
from nova_lite.volume.driver import Backend
from nova_lite.volume.fake import FakeExports, FakePool
from nova_lite.volume.images import Images
from nova_lite.volume.operations.backups import Backups
from nova_lite.volume.operations.exports import Exports
from nova_lite.volume.operations.inventory import Inventory
from nova_lite.volume.operations.snapshots import Snapshots
from nova_lite.volume.operations.uploads import Uploads
from nova_lite.volume.operations.volumes import Volumes
from nova_lite.volume.records import Records
from nova_lite.volume.worker import Worker
from nova_lite.worker.step_reports import StepReports
from tests.support.options import defaults

VOLUME = Volume(volume_id="6c9b1a52-0000-4000-8000-000000000001", project_id="p", backend="local", pool="local", size_gb=1,
                provider_name="volume-6c9b1a52-0000-4000-8000-000000000001")
SNAPSHOT = Snapshot(snapshot_id="6c9b1a52-0000-4000-8000-000000000002", volume=VOLUME,
                    provider_name="_snapshot-6c9b1a52-0000-4000-8000-000000000002")
EXPORT = Export(attachment_id="6c9b1a52-0000-4000-8000-000000000003", volume=VOLUME, connector=Connector(host="node1"))
UPLOAD = ImageUpload(id="22222222-0000-4000-8000-000000000001", url="http://127.0.0.1:1/", token="secret")


def at(number: int, *, sequence: int = 0) -> Order:
    """The order of action `number`."""
    return Order(epoch=1, action=number, sequence=sequence, nonce=f"nonce-{number}")


@dataclasses.dataclass
class Listener(ConductorRpc):
    """A conductor that writes down what workers report."""

    reports: list[StepReport] = dataclasses.field(default_factory=list)

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.reports.append(report)

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        """Heartbeats are not looked at here."""

    @property
    def outcomes(self) -> list[tuple[str, int, Outcome]]:
        return [(report.resource_id, report.order.action, report.outcome) for report in self.reports]


@dataclasses.dataclass
class Parts:
    """All parts of one volume worker, as a test handles them. `meanwhile`: what happens while a volume is uploaded."""

    pool: FakePool
    records: Records
    listener: Listener
    worker: Worker
    volumes: Volumes
    snapshots: Snapshots
    exports: Exports
    uploads: Uploads
    backups: Backups
    archive: Archive
    inventory: Inventory
    backends: backends.Backends
    meanwhile: list[Callable[[], object]]
    ctxt: Context = dataclasses.field(default_factory=Context)

    def create(self, number: int = 1, *, volume: Volume = VOLUME, content: Content | None = None) -> None:
        self.volumes.create_volume(self.ctxt, volume=volume, order=at(number), content=content or Content())

    @property
    def last(self) -> StepReport:
        return self.listener.reports[-1]


def make_parts(directory: Path, *, pool: FakePool | None = None) -> Parts:
    """A worker whose records are under `directory`; made again there, it is the same after a crash."""
    conf = defaults()
    conf.set_override("host", "node1")
    conf.set_override("state_path", str(directory))
    pool = pool or FakePool(backends.Options(conf, "local"))
    records = Records(directory / "volume", is_durable=False)
    records.load()
    listener, images = Listener(), Images(conf)
    opened = backends.Backends([Backend("local", pool, FakeExports(pool))], host="node1", records=records)
    opened.open()
    worker = Worker(name="node1", backends=opened, records=records, reports=StepReports(listener, kind="volume", host="node1"))
    meanwhile: list[Callable[[], object]] = []

    def upload(source: object, **how: Any) -> None:
        for work in meanwhile:
            work()
        how["check"]()

    archive = configured.archive(conf)
    return Parts(
        archive=archive, backups=Backups(worker, images=images, archive=archive), pool=pool, records=records, listener=listener, worker=worker, volumes=Volumes(worker, images=images),
        snapshots=Snapshots(worker), exports=Exports(worker), uploads=Uploads(worker, images=images, upload=upload, timeout_s=1),
        inventory=Inventory(worker), backends=opened, meanwhile=meanwhile)


def another_volume() -> Volume:
    volume_id = str(uuid.uuid4())
    return dataclasses.replace(VOLUME, volume_id=volume_id, provider_name=f"volume-{volume_id}")


def image(*, size: int = 512) -> Image:
    return Image(id="11111111-0000-4000-8000-000000000001", disk_format="raw", size=size, hash_algo="sha512", checksum="",
                 url="http://127.0.0.1:1/", token="the-image-token", properties={})


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return make_parts(tmp_path / "state")
