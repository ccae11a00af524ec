# SPDX-License-Identifier: Apache-2.0
"""What this worker owns and what it has destroyed, on disk before the host changes, so that a crash loses nothing."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from oslo_log import log as logging

from nova_lite.rpc import payload
from nova_lite.rpc.compute import Guest

LOG = logging.getLogger(__name__)
_TMP = ".tmp"


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
        self._guests = directory / "guests"
        self._graves = directory / "destroyed"
        self._is_durable = is_durable
        self._now = now
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}
        self._fences: dict[str, int] = {}

    def load(self) -> None:
        """Read what an earlier process left; a file that cannot be read is reported and left alone."""
        for directory in (self._guests, self._graves):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for entry in directory.glob(f"*{_TMP}"):
                entry.unlink(missing_ok=True)
        for entry in self._guests.iterdir():
            try:
                record = _decode(entry.read_text())
            except (OSError, ValueError, KeyError, TypeError) as error:
                LOG.warning("record %s cannot be read: %s", entry, error)
            else:
                self._records[record.server_id] = record
        for entry in self._graves.iterdir():
            text = entry.read_text()
            self._fences[entry.name] = int(text) if text.isdigit() else 0

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
        _write(self._guests / record.server_id, _encode(record), is_durable=self._is_durable)
        with self._lock:
            self._records[record.server_id] = record

    def remove(self, server_id: str) -> None:
        (self._guests / server_id).unlink(missing_ok=True)
        with self._lock:
            self._records.pop(server_id, None)

    def fence(self, server_id: str) -> int:
        """The fence of the server's last destroy here; 0: there was none that we remember."""
        return self._fences.get(server_id, 0)

    def bury(self, server_id: str, *, fence: int) -> None:
        """Remember that the server was destroyed by request `fence`; an older fence changes nothing."""
        with self._lock:
            if fence <= self._fences.get(server_id, 0):
                return
            _write(self._graves / server_id, str(fence), is_durable=self._is_durable)
            self._fences[server_id] = fence

    def forget_graves(self, *, older_than_s: float) -> int:
        """Drop old tombstones of servers that are not here; returns how many."""
        limit = self._now() - older_than_s
        dropped = 0
        for entry in self._graves.iterdir():
            if entry.name not in self._records and entry.stat().st_mtime < limit:
                entry.unlink(missing_ok=True)
                with self._lock:
                    self._fences.pop(entry.name, None)
                dropped += 1
        return dropped


def _encode(record: Record) -> str:
    return json.dumps({
        "guest": payload.to_wire(record.guest), "phase": record.phase.value, "wanted": record.wanted.value,
        "last_action": record.last_action, "nic_turn": record.nic_turn,
        "resized_by": record.resized_by, "before_rescue": record.before_rescue and record.before_rescue.value,
    })


def _decode(text: str) -> Record:
    fields = json.loads(text)
    return Record(
        guest=payload.from_wire(Guest, fields["guest"]), phase=Phase(fields["phase"]),
        wanted=Wanted(fields["wanted"]), last_action=int(fields["last_action"]),
        nic_turn=int(fields.get("nic_turn", 0)), resized_by=int(fields.get("resized_by", 0)),
        before_rescue=Wanted(fields["before_rescue"]) if fields.get("before_rescue") else None,
    )


def _write(path: Path, text: str, *, is_durable: bool) -> None:
    """Replace the file at once and whole: a crash leaves the old or the new text."""
    temporary = path.with_name(f"{path.name}.{threading.get_ident()}{_TMP}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        if is_durable:
            stream.flush()
            os.fsync(stream.fileno())
    temporary.rename(path)
    if is_durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
