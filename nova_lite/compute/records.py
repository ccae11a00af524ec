# SPDX-License-Identifier: Apache-2.0
"""What this worker owns and what it has destroyed, on disk before the host changes, so that a crash loses nothing."""

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
from nova_lite.rpc.compute import Guest
from nova_lite.worker.records import RecordFiles
from nova_lite.worker.tombstones import Tombstones

LOG = logging.getLogger(__name__)


class Phase(StrEnum):
    BUILDING = "building"
    BUILT = "built"
    RESIZING = "resizing"
    DESTROYING = "destroying"


class Wanted(StrEnum):
    """What the guest's power is to be after the host was restarted."""

    ON = "on"
    OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """One guest of this worker. `last_action` is the newest action carried out: older requests are late duplicates.

    `nic_turn` is the same for requests that attach and detach NICs, which are ordered apart.
    `resized_by`: the fence of the resize whose old disks are kept; 0: none are.
    `before_rescue`: the power that a rescue found, which its undo brings back; None: there is no rescue to undo.
    """

    guest: Guest
    phase: Phase
    wanted: Wanted = Wanted.ON
    last_action: int = 0
    nic_turn: int = 0
    resized_by: int = 0
    before_rescue: Wanted | None = None

    @property
    def server_id(self) -> str:
        return self.guest.server_id


class Records:
    """Records and tombstones, in memory and under `directory`; safe for threads.

    A tombstone is the fence of a server's last destroy. `is_durable` False leaves out fsync: enough against a
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
                self._records[server_id] = _decode(fields)
            except (ValueError, KeyError, TypeError) as error:
                LOG.warning("server %s: its record cannot be read: %r", server_id, error)

    def get(self, server_id: str) -> Record | None:
        return self._records.get(server_id)

    def all(self) -> list[Record]:
        with self._lock:
            return list(self._records.values())

    def put(self, record: Record) -> None:
        """Keep the record; it is on disk when this returns. The image's token, a secret, is not kept."""
        rescue = record.guest.rescue
        bare = dataclasses.replace(
            record.guest, image=dataclasses.replace(record.guest.image, token=""),
            rescue=dataclasses.replace(rescue, token="") if rescue else None)
        record = dataclasses.replace(record, guest=bare)
        self._files.write(record.server_id, _encode(record))
        with self._lock:
            self._records[record.server_id] = record

    def remove(self, server_id: str) -> None:
        self._files.remove(server_id)
        with self._lock:
            self._records.pop(server_id, None)

    def fence(self, server_id: str) -> int:
        """The fence of the server's last destroy here; 0: there was none that we remember."""
        return self._tombstones.fence(server_id, default=0)

    def add_tombstone(self, server_id: str, *, fence: int) -> None:
        """Remember that the server was destroyed by request `fence`; an older fence changes nothing."""
        self._tombstones.put(server_id, fence=fence)

    def expire_tombstones(self) -> int:
        """Drop old tombstones; returns how many."""
        return self._tombstones.expire()


def _encode(record: Record) -> dict[str, object]:
    return {
        "guest": payload.to_wire(record.guest), "phase": record.phase.value, "wanted": record.wanted.value,
        "last_action": record.last_action, "nic_turn": record.nic_turn,
        "resized_by": record.resized_by, "before_rescue": record.before_rescue and record.before_rescue.value,
    }


def _decode(fields: Any) -> Record:  # noqa: ANN401 - JSON of any release
    return Record(
        guest=payload.from_wire(Guest, fields["guest"]), phase=Phase(fields["phase"]),
        wanted=Wanted(fields["wanted"]), last_action=int(fields["last_action"]),
        nic_turn=int(fields.get("nic_turn", 0)), resized_by=int(fields.get("resized_by", 0)),
        before_rescue=Wanted(fields["before_rescue"]) if fields.get("before_rescue") else None,
    )
