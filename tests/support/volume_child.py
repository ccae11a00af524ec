# SPDX-License-Identifier: Apache-2.0
"""A volume worker in a process of its own, which is sent what a conductor sends and may be killed anywhere.

    python -m tests.support.volume_child NOVA_CONF
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from nova_lite import conf as options
from nova_lite.context import Context
from nova_lite.rpc.conductor import ConductorRpc, StepReport
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Backup, Connector, Content, ContentSource, Export, Snapshot, Volume
from nova_lite.volume import backends
from nova_lite.volume.backups import configured
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.images import Images
from nova_lite.volume.operations.backups import Backups
from nova_lite.volume.operations.exports import Exports
from nova_lite.volume.operations.snapshots import Snapshots
from nova_lite.volume.operations.volumes import Volumes
from nova_lite.volume.records import Records
from nova_lite.volume.worker import Worker
from nova_lite.worker.orders import Duplicate
from nova_lite.worker.step_reports import StepReports


def volume(number: int, *, size_gb: int = 1) -> Volume:
    volume_id = f"6c9b1a52-0000-4000-8000-00000000000{number}"
    return Volume(volume_id=volume_id, project_id="p", backend="local", pool="local", size_gb=size_gb, provider_name=f"volume-{volume_id}")


SOURCE, RESTORED, CLONE = volume(1), volume(2, size_gb=2), volume(3)
SNAPSHOT = Snapshot(snapshot_id="6c9b1a52-0000-4000-8000-00000000000a", volume=SOURCE, provider_name="_snapshot-a")
EXPORT = Export(attachment_id="6c9b1a52-0000-4000-8000-00000000000b", volume=SOURCE, connector=Connector(host="node1", ip="127.0.0.1"))

OF_SNAPSHOT = Backup(backup_id="6c9b1a52-0000-4000-8000-00000000000c", volume_id=SOURCE.volume_id, volume=SOURCE)
OF_CLONE = Backup(backup_id="6c9b1a52-0000-4000-8000-00000000000d", volume_id=CLONE.volume_id, volume=CLONE)


class Listener(ConductorRpc):
    """A conductor that needs every step to be done."""

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        print(report.resource_type, report.order.action, report.outcome, report.reason, flush=True)


@dataclasses.dataclass
class Child:
    """The worker's parts."""

    conf_file: Path
    pool: DirectoryPool
    records: Records
    opened: backends.Backends
    volumes: Volumes
    snapshots: Snapshots
    exports: Exports
    backups: Backups


def open_child(conf_file: Path) -> Child:
    """The worker, after a start that recovers what an earlier one left."""
    conf = options.load([], files=[str(conf_file)])
    made = backends.make(conf)
    pool = made[0].pool
    assert isinstance(pool, DirectoryPool)
    records, images = Records(Path(conf.state_path) / "volume"), Images(conf)
    records.load()
    images.open()
    opened = backends.Backends(made, host=conf.host, records=records)
    opened.open()
    worker = Worker(name=conf.host, backends=opened, records=records, reports=StepReports(Listener(), kind="volume", host=conf.host))
    return Child(conf_file, pool, records, opened, Volumes(worker, images=images), Snapshots(worker), Exports(worker),
                 Backups(worker, images=images, archive=configured.archive(conf)))


def write(child: Child, one: Volume, letter: str, done: str) -> None:
    """As a guest would, once in all processes."""
    mark = child.conf_file.with_name(done)
    if not mark.exists():
        path, disk_format = child.pool.path_of(one), child.pool.files.disk_format
        subprocess.run(["qemu-io", "-f", disk_format, "-c", f"write -P {ord(letter)} 0 64k", str(path)], check=True, stdout=subprocess.DEVNULL)
        mark.touch()


def steps(child: Child) -> list[Callable[[Context, Order], None]]:
    """What a conductor sends, in this order."""
    def content(source: ContentSource, resource_id: str, name: str) -> Content:
        return Content(source=source, id=resource_id, provider_name=name, size_gb=1)

    from_snapshot = content(ContentSource.SNAPSHOT, SNAPSHOT.snapshot_id, SNAPSHOT.provider_name)
    from_volume = content(ContentSource.VOLUME, SOURCE.volume_id, SOURCE.provider_name)
    return [
        lambda ctxt, order: child.volumes.create_volume(ctxt, volume=SOURCE, order=order, content=Content()),
        lambda ctxt, order: write(child, SOURCE, "A", "written-a"),
        lambda ctxt, order: child.snapshots.create_snapshot(ctxt, snapshot=SNAPSHOT, order=order),
        lambda ctxt, order: write(child, SOURCE, "B", "written-b"),
        lambda ctxt, order: child.volumes.create_volume(ctxt, volume=RESTORED, order=order, content=from_snapshot),
        lambda ctxt, order: child.volumes.create_volume(ctxt, volume=CLONE, order=order, content=from_volume),
        lambda ctxt, order: child.volumes.extend_volume(ctxt, volume=dataclasses.replace(SOURCE, size_gb=3), order=order),
        lambda ctxt, order: child.volumes.revert_volume(ctxt, volume=dataclasses.replace(SOURCE, size_gb=3), order=order, snapshot=SNAPSHOT),
        lambda ctxt, order: child.exports.export_volume(ctxt, export=EXPORT, order=order),
        lambda ctxt, order: child.exports.unexport_volume(ctxt, export=EXPORT, order=order),
        lambda ctxt, order: child.backups.create_backup(ctxt, backup=OF_SNAPSHOT, order=order, snapshot=SNAPSHOT),
        lambda ctxt, order: child.backups.create_backup(ctxt, backup=OF_CLONE, order=order, snapshot=None),
        lambda ctxt, order: child.backups.restore_backup(ctxt, volume=CLONE, order=order, backup=OF_SNAPSHOT),
        lambda ctxt, order: child.backups.restore_backup(ctxt, volume=CLONE, order=order, backup=OF_CLONE),
        lambda ctxt, order: child.backups.delete_backup(ctxt, backup=OF_CLONE, order=order),
        lambda ctxt, order: child.volumes.delete_volume(ctxt, volume=SOURCE, order=order, snapshots=(SNAPSHOT,)),
    ]


def main() -> None:
    """Do each step that no earlier process has done; a step that was cut off is sent again."""
    child = open_child(Path(sys.argv[1]))
    mark = child.conf_file.with_name("steps-done")
    for number, step in enumerate(steps(child)):
        if number < (int(mark.read_text()) if mark.exists() else 0):
            continue
        with contextlib.suppress(Duplicate):
            step(Context(), Order(epoch=1, action=number + 1))
        mark.write_text(str(number + 1))
    child.opened.close()


if __name__ == "__main__":
    main()
