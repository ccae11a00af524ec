# SPDX-License-Identifier: Apache-2.0
"""What this worker owns and what it has destroyed, on disk before the host changes, so that a crash loses nothing."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from oslo_log import log as logging

from nova_lite.rpc import payload
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.order import NEVER, Order
from nova_lite.values import guest_disk
from nova_lite.worker.orders import FENCES_PER_ACTION, order_of_fence
from nova_lite.worker.records import RecordFiles
from nova_lite.worker.tombstones import Tombstones

LOG = logging.getLogger(__name__)
# Of subjects that the guest has no more, whose late requests are still known one by one.
_PAST_SUBJECTS = 50


class Phase(StrEnum):
    BUILDING = "building"
    BUILT = "built"
    RESIZING = "resizing"
    DESTROYING = "destroying"


class DesiredPower(StrEnum):
    """What the guest's power is to be after the host was restarted."""

    ON = "on"
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Progress:
    """The newest request about something that was begun; `is_done`: it was carried out."""

    order: Order = NEVER
    is_done: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One guest of this worker. `order`: the newest request that was begun; `is_done`: it was carried out.

    `resized_by`: the number of the resize whose old disks are kept; 0: none are.
    `before_rescue`: the power before a rescue, which its undo brings back; None: there is no rescue to undo.
    `subjects`: of requests that are in the order of an attachment or a volume, by its id, instead of the server's. Of those that are
    not there, requests up to `subjects_since` are old: they are of the time before the guest was built here, or forgotten.
    """

    guest: Guest
    phase: Phase
    desired_power: DesiredPower = DesiredPower.ON
    order: Order = NEVER
    is_done: bool = True
    resized_by: int = 0
    before_rescue: DesiredPower | None = None
    subjects: Mapping[str, Progress] = dataclasses.field(default_factory=dict)
    subjects_since: Order = NEVER

    @property
    def server_id(self) -> str:
        return self.guest.server_id

    def progress(self, subject: str | None) -> Progress:
        """Of requests about the subject; None: about the server as a whole."""
        if subject is None:
            return Progress(order=self.order, is_done=self.is_done)
        return self.subjects.get(subject) or Progress(order=self.subjects_since)

    def with_progress(self, subject: str | None, progress: Progress) -> Record:
        """With this one as the newest request; of subjects that the guest has no more the newest are kept."""
        if subject is None:
            return dataclasses.replace(self, order=progress.order, is_done=progress.is_done)
        subjects = {**self.subjects, subject: progress}
        attached = guest_disk.volumes(self.guest.disks)
        present = attached.keys() | {disk.volume.volume_id for disk in attached.values() if disk.volume}
        past = sorted((known.order.key, name) for name, known in subjects.items() if known.is_done and name not in present)
        since = self.subjects_since
        for _, name in past[:-_PAST_SUBJECTS]:
            since = max(since, subjects.pop(name).order, key=lambda order: order.key)
        return dataclasses.replace(self, subjects=subjects, subjects_since=since)


class Records:
    """Records and tombstones, in memory and under `directory`; safe for threads.

    A tombstone is the order of a server's last destroy. `is_durable` False leaves out fsync: enough against a
    crash of the process, not of the machine; for guests that do not outlive the machine anyway.
    """

    def __init__(self, directory: Path, *, is_durable: bool, now: Callable[[], float] = time.time) -> None:
        self._files = RecordFiles(directory / "guests", is_durable=is_durable)
        self._tombstones = Tombstones(RecordFiles(directory / "destroyed", is_durable=is_durable), now=now)
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def load(self) -> None:
        """Read what an earlier process left; a file that cannot be read is reported and left alone."""
        self._files.open()
        self._tombstones.load()
        for server_id, fields in self._files.read():
            try:
                record = self._records[server_id] = _decode(fields)
            except (ValueError, KeyError, TypeError) as error:
                LOG.warning("server %s: its record cannot be read: %r", server_id, error)
                continue
            if record.guest.documents:  # an earlier release kept them
                self.put(record)

    def get(self, server_id: str) -> Record | None:
        return self._records.get(server_id)

    def all(self) -> list[Record]:
        with self._lock:
            return list(self._records.values())

    def put(self, record: Record) -> None:
        """Keep the record; it is on disk when this returns. Secrets are not kept: what needs them is sent again with them.

        These are the image's token, and the documents of the config drive, which have the user data and a password. Those of
        the connections of volumes are: guests start again after a restart of the host, when no conductor may be there.
        """
        rescue = record.guest.rescue
        bare = dataclasses.replace(
            record.guest, image=dataclasses.replace(record.guest.image, token=""), documents={},
            rescue=dataclasses.replace(rescue, token="") if rescue else None)
        record = dataclasses.replace(record, guest=bare)
        self._files.write(record.server_id, _encode(record))
        with self._lock:
            self._records[record.server_id] = record

    def remove(self, server_id: str) -> None:
        self._files.remove(server_id)
        with self._lock:
            self._records.pop(server_id, None)

    def tombstone(self, server_id: str) -> Order:
        """The order of the server's last destroy here; NEVER: there was none that we remember."""
        return self._tombstones.order(server_id)

    def put_tombstone(self, server_id: str, order: Order) -> None:
        """Remember that the server was destroyed by this request; an older one changes nothing."""
        self._tombstones.put(server_id, order)

    def expire_tombstones(self) -> int:
        """Drop old tombstones; returns how many."""
        return self._tombstones.expire()


def _encode(record: Record) -> dict[str, object]:
    return {
        "guest": payload.to_wire(record.guest), "phase": record.phase.value, "desired_power": record.desired_power.value,
        "order": payload.to_wire(record.order), "is_done": record.is_done,
        "resized_by": record.resized_by, "before_rescue": record.before_rescue and record.before_rescue.value,
        "subjects": {name: {"order": payload.to_wire(known.order), "is_done": known.is_done} for name, known in record.subjects.items()},
        "subjects_since": payload.to_wire(record.subjects_since),
    }


def _decode(fields: Any) -> Record:  # JSON of any release
    return Record(
        guest=payload.from_wire(Guest, fields["guest"]), phase=Phase(fields["phase"]),
        desired_power=DesiredPower(fields["desired_power"] if "desired_power" in fields else fields["wanted"]),
        order=payload.from_wire(Order, fields["order"]) if "order" in fields else _order_of_release_0_1(fields),
        is_done=bool(fields.get("is_done", fields["phase"] == Phase.BUILT)), resized_by=int(fields.get("resized_by", 0)),
        before_rescue=DesiredPower(fields["before_rescue"]) if fields.get("before_rescue") else None,
        subjects={name: Progress(order=payload.from_wire(Order, known["order"]), is_done=bool(known["is_done"]))
                  for name, known in fields.get("subjects", {}).items()},
        subjects_since=payload.from_wire(Order, fields["subjects_since"]) if "subjects_since" in fields else NEVER,
    )


def _order_of_release_0_1(fields: Any) -> Order:  # JSON
    """After all that it carried out: its actions, its fences (action and attempt) and its turns of NICs (twice the action)."""
    fence = order_of_fence(int(fields["guest"].get("fence", 0)))
    action = max(int(fields["last_action"]), fence.action, int(fields.get("nic_turn", 0)) // 2)
    return Order(epoch=0, action=action, attempt=FENCES_PER_ACTION)
