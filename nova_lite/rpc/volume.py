# SPDX-License-Identifier: Apache-2.0
"""What a conductor may request of a volume worker, and the descriptions of volumes that it works from."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from typing import Any

from nova_lite.context import Context
from nova_lite.rpc.compute import Image, ImageUpload
from nova_lite.rpc.interface import Interface, call, cast
from nova_lite.rpc.network import digest_of
from nova_lite.rpc.order import Order
from nova_lite.rpc.payload import payload


class ContentSource(StrEnum):
    """What a new volume holds at first."""

    BLANK = "blank"
    IMAGE = "image"
    SNAPSHOT = "snapshot"
    VOLUME = "volume"


@payload(version=1)
class Volume:
    """A volume as its worker must have it. `backend` is the worker's section of that name, `pool` one of the backend's.

    `provider_name`: the name of its file or image in the pool; never another volume's. `extra_specs`: those of its type.
    """

    volume_id: str
    project_id: str
    backend: str
    pool: str
    size_gb: int
    provider_name: str
    extra_specs: dict[str, str] = dataclasses.field(default_factory=dict)


@payload(version=1)
class Content:
    """What a new volume is made from: `id` of the snapshot, or the volume (of `size_gb`), whose files are named `provider_name`; or the `image`.

    `backend`, `pool`: of a volume that is not in the new one's, but of the same worker; empty: it is in the same.
    """

    source: ContentSource = ContentSource.BLANK
    id: str = ""
    provider_name: str = ""
    size_gb: int = 0
    image: Image | None = None
    backend: str = ""
    pool: str = ""


@payload(version=1)
class Snapshot:
    """A snapshot of `volume`. `provider_name` as of volumes."""

    snapshot_id: str
    volume: Volume
    provider_name: str


@payload(version=1)
class Connector:
    """The compute host that a volume is made reachable for; `ip` of the host, `initiator` its iSCSI name."""

    host: str
    ip: str = ""
    initiator: str = ""


@payload(version=1)
class Export:
    """A volume made reachable for one attachment. `is_shared`: others may have it too (multiattach)."""

    attachment_id: str
    volume: Volume
    connector: Connector
    is_read_only: bool = False
    is_shared: bool = False


@payload(version=1)
class Backup:
    """A backup, which its store knows by the ids of the volume and its own. `parent_id`: of the one that it adds to; empty: none.

    `volume`: what it is made of, in its pool; where it is only removed, the volume may be gone, and has no `backend`.
    `digest`: of its manifest; empty: it is not known.
    """

    backup_id: str
    volume_id: str
    volume: Volume
    parent_id: str = ""
    digest: str = ""


@payload(version=1)
class PoolReport:
    """One pool of a worker: `backend`#`pool`. Sizes in GiB; `free_gb` is really free. `capabilities`: by Cinder's names.

    `reach`: `host`, only guests of the worker's own host; `network`, those of every host.
    """

    backend: str
    pool: str
    total_gb: float
    free_gb: float
    reserved_percentage: int = 0
    max_over_subscription_ratio: float = 20.0
    is_thin: bool = True
    reach: str = "host"
    capabilities: dict[str, Any] = dataclasses.field(default_factory=dict)


@payload(version=1)
class OwnedVolumes:
    """What a worker has made and not yet removed: ids of volumes, snapshots and exported attachments.

    `is_as_expected`: they are those of the digest that was sent, and are left out.
    """

    volume_ids: tuple[str, ...] = ()
    snapshot_ids: tuple[str, ...] = ()
    attachment_ids: tuple[str, ...] = ()
    is_as_expected: bool = False

    @property
    def digest(self) -> str:
        """The same for the same resources only."""
        return digest_of((*self.volume_ids, *self.snapshot_ids, *self.attachment_ids))


class VolumeRpc(Interface):
    """What a conductor may request of a volume worker.

    Casts with an `order` are steps of actions: done in that order for each resource (the volume, the snapshot or the attachment that
    they name first), once however often they come, and answered by ConductorRpc.report_step, whose `result` is what each says.
    """

    topic, version = "volume", "1.0"

    @cast(since="1.0")
    def create_volume(self, ctxt: Context, *, volume: Volume, order: Order, content: Content) -> None:
        """Make the volume, of its size, with that content. A failure leaves nothing behind.

        Result: `virtual_size`, bytes of the image's disk, where it was made from one.
        """

    @cast(since="1.0")
    def delete_volume(self, ctxt: Context, *, volume: Volume, order: Order, snapshots: tuple[Snapshot, ...]) -> None:
        """Remove these snapshots of the volume and then itself; what is not there is fine. Volumes made from them stay whole."""

    @cast(since="1.0")
    def extend_volume(self, ctxt: Context, *, volume: Volume, order: Order) -> None:
        """Grow the volume to its `size_gb`; one as large is fine. Of a volume in use, what serves it shows the new size too.

        Result: `resized_by`, `storage` or `hypervisor`: who must let the guest see it.
        """

    @cast(since="1.0")
    def create_snapshot(self, ctxt: Context, *, snapshot: Snapshot, order: Order) -> None:
        """Keep the volume's present content; also while it is in use, then as after a power cut. A failure leaves nothing behind.

        Result: `frozen_by`, `storage` or `hypervisor`: the guest writes to it until ComputeRpc.snapshot_volume has been done.
        """

    @cast(since="1.0")
    def delete_snapshot(self, ctxt: Context, *, snapshot: Snapshot, order: Order) -> None:
        """Remove the snapshot; one that is not there is fine. Volumes made from it stay whole."""

    @cast(since="1.0")
    def revert_volume(self, ctxt: Context, *, volume: Volume, order: Order, snapshot: Snapshot) -> None:
        """Give the volume, which nobody uses, the snapshot's content; its size stays."""

    @cast(since="1.0")
    def export_volume(self, ctxt: Context, *, export: Export, order: Order) -> None:
        """Make the volume reachable for the attachment.

        Result: `connection_info`, as Cinder has it: `driver_volume_type` and what the compute worker needs; it may hold a secret.
        """

    @cast(since="1.0")
    def unexport_volume(self, ctxt: Context, *, export: Export, order: Order) -> None:
        """End what `export_volume` made for the attachment, its open sessions too; none is fine."""

    @cast(since="1.0")
    def upload_volume(self, ctxt: Context, *, volume: Volume, order: Order, image: ImageUpload, disk_format: str) -> None:
        """Send the volume's content to the image service in that format; the image is active afterwards."""

    @cast(since="1.0")
    def create_backup(self, ctxt: Context, *, backup: Backup, order: Order, snapshot: Snapshot | None) -> None:
        """Keep the content of the volume, or of its snapshot, in the store of backups. A failure leaves nothing behind.

        Result: `size`, bytes of the volume; `object_count`, of those that were stored; `digest`, of the manifest.
        """

    @cast(since="1.0")
    def delete_backup(self, ctxt: Context, *, backup: Backup, order: Order) -> None:
        """Remove the backup from the store; none is fine. One that others add to is refused."""

    @cast(since="1.0")
    def restore_backup(self, ctxt: Context, *, volume: Volume, order: Order, backup: Backup) -> None:
        """Give the volume, which nobody uses, the backup's content; its size stays.

        A backup that is damaged is refused before the volume changes.
        """

    @cast(since="1.0")
    def verify_backup(self, ctxt: Context, *, backup: Backup, order: Order) -> None:
        """Read the whole backup, and compare it with what was written; one that is damaged fails, with the reason.

        Result: as of `create_backup`.
        """

    @call(since="1.0", timeout_s=5)
    def known_orders(self, ctxt: Context, *, orders: tuple[Order, ...]) -> tuple[Order, ...]:
        """Those of the orders that are under way here; all others are to be sent again: done, they are reported again."""
        ...

    @call(since="1.0", timeout_s=10)
    def owned_unless(self, ctxt: Context, *, digest: str) -> OwnedVolumes:
        """What this worker has, for comparison with the rows: nothing more than that, if it has what the digest is of."""
        ...
