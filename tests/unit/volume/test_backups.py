# SPDX-License-Identifier: Apache-2.0
"""Backups as operations of a volume worker: made of volumes and snapshots, restored, verified and removed, whatever becomes of it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.rpc.conductor import Outcome
from nova_lite.rpc.volume import Backup
from nova_lite.runtime import failpoints
from nova_lite.volume.backups.archive import BackupKey
from nova_lite.volume.backups.store import StoreFailed
from nova_lite.volume.operations import backups as operations
from nova_lite.volume.records import Kind
from nova_lite.worker.orders import Duplicate
from tests.unit.volume.conftest import EXPORT, SNAPSHOT, VOLUME, Parts, another_volume, at, make_parts

FULL = Backup(backup_id="6c9b1a52-0000-4000-8000-00000000000a", volume_id=VOLUME.volume_id, volume=VOLUME)
MORE = dataclasses.replace(FULL, backup_id="6c9b1a52-0000-4000-8000-00000000000b", parent_id=FULL.backup_id)
# As requests name it that only remove or restore it.
GONE = dataclasses.replace(FULL, volume=dataclasses.replace(VOLUME, backend="", pool="", provider_name=""))
CONTENT = b"A" * 512


@pytest.fixture
def filled(parts: Parts) -> Parts:
    """The volume VOLUME has content."""
    parts.create()
    parts.pool.write(VOLUME.provider_name, CONTENT)
    return parts


@contextlib.contextmanager
def broken_at(point: str) -> Iterator[None]:
    """What comes to this point fails there."""
    failpoints.arm(f"{point}=error")
    try:
        yield
    finally:
        failpoints.arm("")


def create(parts: Parts, number: int = 2, *, backup: Backup = FULL) -> None:
    parts.backups.create_backup(parts.ctxt, backup=backup, order=at(number), snapshot=None)


def restore(parts: Parts, number: int = 5, *, backup: Backup = GONE) -> None:
    parts.backups.restore_backup(parts.ctxt, volume=VOLUME, order=at(number), backup=backup)


def content(parts: Parts) -> bytes:
    with parts.pool.image_of(VOLUME, "raw", is_in_use=False, check=lambda: None) as stream:
        return stream.read()


def stored(parts: Parts) -> list[str]:
    """The backups in the store."""
    return parts.archive.backup_ids(VOLUME.volume_id)


def chunk_of(tmp_path: Path) -> Path:
    (found,) = (path for path in (tmp_path / "state" / "backups").rglob("*") if path.is_file() and path.name != "manifest")
    return found


def test_a_backup_is_made_and_described(filled: Parts) -> None:
    create(filled)
    assert (filled.last.resource_type, filled.last.resource_id, filled.last.outcome) == ("backup", FULL.backup_id, Outcome.DONE)
    digest = filled.archive.manifest(BackupKey(VOLUME.volume_id, FULL.backup_id)).digest
    assert filled.last.result == {"size": 512, "object_count": 1, "digest": digest}


def test_a_request_that_comes_again_is_reported_again_and_not_done(filled: Parts) -> None:
    create(filled)
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    with pytest.raises(Duplicate):
        create(filled)
    assert filled.listener.reports[-1].result == filled.listener.reports[-2].result


def test_a_backup_of_a_snapshot_has_its_content_and_leaves_no_copy(filled: Parts) -> None:
    filled.snapshots.create_snapshot(filled.ctxt, snapshot=SNAPSHOT, order=at(2))
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    filled.backups.create_backup(filled.ctxt, backup=FULL, order=at(3), snapshot=SNAPSHOT)
    assert filled.pool.names() == {VOLUME.provider_name, SNAPSHOT.provider_name}
    restore(filled)
    assert content(filled) == CONTENT


def test_a_backup_of_a_snapshot_that_is_gone_fails_and_leaves_nothing(filled: Parts) -> None:
    filled.backups.create_backup(filled.ctxt, backup=FULL, order=at(3), snapshot=SNAPSHOT)
    assert (filled.last.outcome, SNAPSHOT.provider_name in filled.last.reason) == (Outcome.FAILED, True)
    assert (filled.pool.names(), stored(filled), filled.records.get(Kind.BACKUP, FULL.backup_id)) == (frozenset({VOLUME.provider_name}), [], None)


@pytest.mark.parametrize("point", ["volume.backup.object", "volume.backup.manifest", "volume.create_backup.made"])
def test_a_backup_that_fails_leaves_nothing(filled: Parts, point: str) -> None:
    with broken_at(point):
        create(filled)
    assert (filled.last.outcome, f"failpoint {point}" in filled.last.reason) == (Outcome.FAILED, True)
    assert (stored(filled), filled.records.get(Kind.BACKUP, FULL.backup_id)) == ([], None)


def test_an_incremental_backup_has_only_what_is_new(filled: Parts) -> None:
    create(filled)
    create(filled, 3, backup=MORE)
    assert filled.last.result["object_count"] == 0
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    restore(filled, backup=dataclasses.replace(MORE, digest=filled.last.result["digest"]))
    assert content(filled) == CONTENT


def test_an_incremental_backup_without_its_parent_fails_with_the_reason(filled: Parts) -> None:
    create(filled, backup=MORE)
    assert (filled.last.outcome, f"there is no backup {FULL.backup_id}" in filled.last.reason) == (Outcome.FAILED, True)


def test_a_restore_brings_back_the_content_and_keeps_the_size(filled: Parts) -> None:
    create(filled)
    filled.volumes.extend_volume(filled.ctxt, volume=dataclasses.replace(VOLUME, size_gb=3), order=at(3))
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    restore(filled)
    assert (content(filled), filled.pool.size_gb(VOLUME.provider_name), filled.last.outcome) == (CONTENT, 3, Outcome.DONE)


def test_a_damaged_backup_is_never_restored(filled: Parts, tmp_path: Path) -> None:
    create(filled)
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    chunk_of(tmp_path).write_bytes(b"garbage")
    restore(filled)
    assert (filled.last.outcome, "is damaged" in filled.last.reason, content(filled)) == (Outcome.FAILED, True, b"B" * 512)


def test_another_backup_than_the_rows_know_is_not_restored(filled: Parts) -> None:
    create(filled)
    restore(filled, backup=dataclasses.replace(GONE, digest="0" * 64))
    assert (filled.last.outcome, "is not the one that was written" in filled.last.reason) == (Outcome.FAILED, True)


def test_a_backup_larger_than_the_volume_is_refused(filled: Parts) -> None:
    create(filled)
    filled.backups.restore_backup(filled.ctxt, volume=dataclasses.replace(VOLUME, size_gb=0), order=at(5), backup=GONE)
    assert "0 GiB are less than the 512 bytes" in filled.last.reason


def test_a_volume_in_use_is_not_restored(filled: Parts) -> None:
    create(filled)
    filled.exports.export_volume(filled.ctxt, export=EXPORT, order=at(3))
    restore(filled)
    assert (filled.last.outcome, "is in use" in filled.last.reason) == (Outcome.FAILED, True)


def test_a_restore_that_was_cut_off_is_done_when_it_comes_again(filled: Parts) -> None:
    create(filled)
    filled.pool.write(VOLUME.provider_name, b"B" * 512)
    with broken_at("volume.restore_backup.before"):
        restore(filled)
    assert filled.last.outcome is Outcome.FAILED
    restore(filled)
    assert (filled.last.outcome, content(filled)) == (Outcome.DONE, CONTENT)


def test_a_removed_backup_is_gone_also_when_its_volume_is(filled: Parts) -> None:
    create(filled)
    filled.volumes.delete_volume(filled.ctxt, volume=VOLUME, order=at(3), snapshots=())
    for _ in range(2):
        filled.backups.delete_backup(filled.ctxt, backup=GONE, order=at(4))
        assert filled.last.outcome is Outcome.DONE
    assert (stored(filled), filled.records.get(Kind.BACKUP, FULL.backup_id)) == ([], None)


def test_a_backup_that_others_add_to_is_not_removed(filled: Parts) -> None:
    create(filled)
    create(filled, 3, backup=MORE)
    filled.backups.delete_backup(filled.ctxt, backup=GONE, order=at(4))
    assert (filled.last.outcome, MORE.backup_id in filled.last.reason) == (Outcome.FAILED, True)
    assert stored(filled) == [FULL.backup_id, MORE.backup_id]


def test_a_backup_is_not_made_by_a_request_older_than_its_removal(filled: Parts) -> None:
    filled.backups.delete_backup(filled.ctxt, backup=GONE, order=at(4))
    create(filled, 3)
    assert (filled.last.outcome, stored(filled)) == (Outcome.STALE, [])


def test_a_backup_is_verified_by_all_of_its_bytes(filled: Parts, tmp_path: Path) -> None:
    create(filled)
    filled.backups.verify_backup(filled.ctxt, backup=GONE, order=at(4))
    assert (filled.last.outcome, filled.last.result["size"]) == (Outcome.DONE, 512)
    chunk_of(tmp_path).unlink()
    filled.backups.verify_backup(filled.ctxt, backup=GONE, order=at(5))
    assert (filled.last.outcome, "is lost" in filled.last.reason) == (Outcome.FAILED, True)


class Crash(BaseException):
    """The process ends here, and removes nothing more from its pool."""


def test_a_crash_leaves_no_copy_of_a_snapshot(filled: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.snapshots.create_snapshot(filled.ctxt, snapshot=SNAPSHOT, order=at(2))

    def crash(name: str) -> None:
        if name == "volume.create_backup.copied":
            raise Crash

    with monkeypatch.context() as crashing:
        crashing.setattr(operations, "fail", crash)
        crashing.setattr(filled.pool, "delete", lambda volume: None)
        with pytest.raises(Crash):
            filled.backups.create_backup(filled.ctxt, backup=FULL, order=at(3), snapshot=SNAPSHOT)
    assert f"backup-{FULL.backup_id}" in filled.pool.names()
    again = make_parts(tmp_path / "state", pool=filled.pool)
    assert again.pool.names() == {VOLUME.provider_name, SNAPSHOT.provider_name}
    again.backups.create_backup(again.ctxt, backup=FULL, order=at(3), snapshot=SNAPSHOT)
    assert (again.last.outcome, stored(again)) == (Outcome.DONE, [FULL.backup_id])


def test_a_backup_of_a_volume_that_is_not_there_fails(filled: Parts) -> None:
    create(filled, backup=dataclasses.replace(FULL, volume=another_volume()))
    assert filled.last.outcome is Outcome.FAILED
    with pytest.raises(StoreFailed):
        filled.archive.manifest(BackupKey(VOLUME.volume_id, FULL.backup_id))
