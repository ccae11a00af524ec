# SPDX-License-Identifier: Apache-2.0
"""What this worker owns and what it has removed, on disk before a pool changes, so that a crash loses nothing."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from oslo_log import log as logging

from nova_lite.rpc import payload
from nova_lite.rpc.order import Order
from nova_lite.rpc.volume import Backup, Export, OwnedVolumes, Snapshot, Volume
from nova_lite.worker import host_name
from nova_lite.worker.records import RecordFiles
from nova_lite.worker.tombstones import Tombstones

LOG = logging.getLogger(__name__)
Subject = Volume | Snapshot | Export | Backup


class Kind(StrEnum):
    """The types of resources, as actions have them."""

    VOLUME = "volume"
    SNAPSHOT = "snapshot"
    ATTACHMENT = "attachment"
    BACKUP = "backup"


_TYPES: dict[Kind, type[Subject]] = {Kind.VOLUME: Volume, Kind.SNAPSHOT: Snapshot, Kind.ATTACHMENT: Export, Kind.BACKUP: Backup}


class Phase(StrEnum):
    MAKING = "making"
    MADE = "made"
    REMOVING = "removing"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One resource of this worker. `order`: the newest request that was begun; `is_done`: it was carried out, with `result`."""

    subject: Subject
    phase: Phase
    order: Order
    is_done: bool = False
    result: dict[str, Any] = dataclasses.field(default_factory=dict)  # JSON

    @property
    def kind(self) -> Kind:
        return kind_of(self.subject)

    @property
    def id(self) -> str:
        return id_of(self.subject)

    @property
    def volume(self) -> Volume:
        return volume_of(self.subject)


def kind_of(subject: Subject) -> Kind:
    return next(kind for kind, cls in _TYPES.items() if isinstance(subject, cls))


def id_of(subject: Subject) -> str:
    if isinstance(subject, Volume):
        return subject.volume_id
    if isinstance(subject, Backup):
        return subject.backup_id
    return subject.snapshot_id if isinstance(subject, Snapshot) else subject.attachment_id


def volume_of(subject: Subject) -> Volume:
    """The volume itself, the snapshot's, the export's or the backup's."""
    return subject if isinstance(subject, Volume) else subject.volume


class Records:
    """Records and tombstones, in memory and under `directory`; safe for threads, but one at a time writes that of one resource.

    A tombstone is the order of the last removal of a resource.
    """

    def __init__(self, directory: Path, *, is_durable: bool = True, now: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._files = {kind: RecordFiles(directory / f"{kind}s", suffix=".json", is_durable=is_durable) for kind in Kind}
        self._tombstones = Tombstones(RecordFiles(directory / "removed", suffix=".json", is_durable=is_durable), now=now)
        self._guard = threading.Lock()
        self._records: dict[tuple[Kind, str], Record] = {}
        self._exports: dict[str, set[str]] = {}

    def load(self) -> None:
        """Read what an earlier process left; a file that cannot be read is reported and left alone."""
        self._tombstones.load()
        for kind, store in self._files.items():
            store.open()
            for resource_id, fields in store.read():
                try:
                    self._remember(_decode(kind, fields))
                except (ValueError, KeyError, TypeError) as error:
                    LOG.warning("%s %s: its record cannot be read: %r", kind, resource_id, error)

    def claim(self, host: str) -> None:
        """Keep whose records these are.

        :raises errors.WrongHost: they are another host's.
        """
        host_name.claim(self._directory, host, is_in_use=bool(self._records))

    def get(self, kind: Kind, resource_id: str) -> Record | None:
        return self._records.get((kind, resource_id))

    def all(self) -> list[Record]:
        with self._guard:
            return list(self._records.values())

    def exports_of(self, volume_id: str) -> list[Record]:
        """The attachments that the volume is exported for."""
        with self._guard:
            return [self._records[Kind.ATTACHMENT, one] for one in sorted(self._exports.get(volume_id, ()))]

    def put(self, record: Record) -> None:
        """Keep the record; it is on disk when this returns."""
        self._files[record.kind].write(record.id, _encode(record))
        self._remember(record)

    def remove(self, kind: Kind, resource_id: str) -> None:
        """Forget the resource; none is fine."""
        self._files[kind].remove(resource_id)
        with self._guard:
            record = self._records.pop((kind, resource_id), None)
            if record is not None and kind is Kind.ATTACHMENT:
                exports = self._exports[record.volume.volume_id]
                exports.discard(resource_id)
                if not exports:
                    del self._exports[record.volume.volume_id]

    def tombstone(self, resource_id: str) -> Order:
        """The order of the resource's last removal; NEVER: there was none that we remember."""
        return self._tombstones.order(resource_id)

    def put_tombstone(self, resource_id: str, order: Order) -> None:
        """Remember that the resource was removed by this request; an older one changes nothing."""
        self._tombstones.put(resource_id, order)

    def owned(self) -> OwnedVolumes:
        """What there are records of."""
        with self._guard:
            known = sorted(self._records)
        ids = {kind: tuple(one for its, one in known if its is kind) for kind in Kind}
        return OwnedVolumes(volume_ids=ids[Kind.VOLUME], snapshot_ids=ids[Kind.SNAPSHOT], attachment_ids=ids[Kind.ATTACHMENT])

    def _remember(self, record: Record) -> None:
        with self._guard:
            self._records[record.kind, record.id] = record
            if record.kind is Kind.ATTACHMENT:
                self._exports.setdefault(record.volume.volume_id, set()).add(record.id)


def _encode(record: Record) -> dict[str, object]:
    return {
        "subject": payload.to_wire(record.subject), "phase": record.phase.value, "order": payload.to_wire(record.order),
        "is_done": record.is_done, "result": record.result,
    }


def _decode(kind: Kind, fields: Any) -> Record:  # JSON
    return Record(
        subject=payload.from_wire(_TYPES[kind], fields["subject"]), phase=Phase(fields["phase"]),
        order=payload.from_wire(Order, fields["order"]), is_done=bool(fields["is_done"]), result=dict(fields["result"]))
