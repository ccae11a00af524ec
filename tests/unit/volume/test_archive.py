# SPDX-License-Identifier: Apache-2.0
"""Backups in a store: what is written comes back, only what has changed is stored, and damage is noticed."""

from __future__ import annotations

import dataclasses
import io
import json
import types
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from nova_lite.volume.backups.archive import Archive, BackupKey
from nova_lite.volume.backups.directory_store import DirectoryStore
from nova_lite.volume.backups.manifest import CHUNK_BYTES
from nova_lite.volume.backups.store import StoreFailed

FIRST, SECOND, THIRD = (BackupKey("6c9b1a52-0000-4000-8000-000000000001", f"6c9b1a52-0000-4000-8000-00000000000{number}") for number in (2, 3, 4))
A, B, C, ZEROS = (bytes([byte]) * CHUNK_BYTES for byte in (65, 66, 67, 0))


class Stuttering(io.BytesIO):
    """A stream that gives less than is requested, as sockets do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 100_000))


@dataclasses.dataclass
class Backups:
    """An archive in a directory."""

    root: Path
    target: Path

    @property
    def archive(self) -> Archive:
        return Archive(DirectoryStore(self.root))

    def write(self, key: BackupKey, content: bytes, *, parent: BackupKey | None = None) -> str:
        """The digest of its manifest."""
        return self.archive.write(key, io.BytesIO(content), parent_id=parent.backup_id if parent else "", check=lambda: None).digest

    def read(self, key: BackupKey, *, digest: str = "") -> bytes:
        self.archive.read(key, self.target, digest=digest, check=lambda: None)
        return self.target.read_bytes()

    def objects(self, key: BackupKey) -> list[Path]:
        """The files of its chunks."""
        return sorted(path for path in (self.root / key.key("x")).parent.glob("*") if path.name != "manifest")

    def manifest(self, key: BackupKey) -> Path:
        return self.root / key.key("manifest")


@pytest.fixture
def backups(tmp_path: Path) -> Backups:
    return Backups(tmp_path / "backups", tmp_path / "restored")


def test_a_backup_comes_back_as_it_was(backups: Backups) -> None:
    content = A + ZEROS + B + b"tail"
    digest = backups.write(FIRST, content)
    assert backups.read(FIRST, digest=digest) == content


def test_a_stream_that_gives_little_at_once_is_read_to_its_end(backups: Backups) -> None:
    backups.archive.write(FIRST, Stuttering(A + B), parent_id="", check=lambda: None)
    assert backups.read(FIRST) == A + B
    assert len(backups.objects(FIRST)) == 2


def test_zeros_are_neither_stored_nor_written(backups: Backups) -> None:
    backups.write(FIRST, ZEROS * 3 + A + ZEROS)
    assert backups.read(FIRST) == ZEROS * 3 + A + ZEROS
    assert len(backups.objects(FIRST)) == 1
    assert backups.target.stat().st_blocks * 512 < 2 * CHUNK_BYTES


def test_an_empty_volume_has_no_objects(backups: Backups) -> None:
    backups.write(FIRST, b"")
    assert (backups.read(FIRST), backups.objects(FIRST)) == (b"", [])


def test_equal_chunks_are_stored_once(backups: Backups) -> None:
    backups.write(FIRST, A + B + A + A)
    assert len(backups.objects(FIRST)) == 2


def test_an_incremental_backup_stores_only_what_its_chain_has_not(backups: Backups) -> None:
    backups.write(FIRST, A + B + ZEROS)
    backups.write(SECOND, A + C + A, parent=FIRST)
    backups.write(THIRD, C + B + ZEROS, parent=SECOND)
    assert [len(backups.objects(key)) for key in (FIRST, SECOND, THIRD)] == [2, 1, 1]
    assert [backups.read(key) for key in (FIRST, SECOND, THIRD)] == [A + B + ZEROS, A + C + A, C + B + ZEROS]


def test_a_chunk_of_a_grandparent_is_not_stored_again_while_the_parent_has_it(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    backups.write(SECOND, A + C, parent=FIRST)
    backups.write(THIRD, A + C, parent=SECOND)
    assert backups.objects(THIRD) == []
    assert backups.read(THIRD) == A + C


def test_a_backup_without_its_parent_is_refused_and_leaves_nothing(backups: Backups) -> None:
    with pytest.raises(StoreFailed, match=FIRST.backup_id):
        backups.write(SECOND, A, parent=FIRST)
    assert not backups.root.exists()


def test_a_backup_that_others_add_to_is_not_removed(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    backups.write(SECOND, A + C, parent=FIRST)
    with pytest.raises(StoreFailed, match=f"{SECOND.backup_id} adds to it"):
        backups.archive.remove(FIRST)
    assert backups.read(SECOND) == A + C


def test_a_removed_backup_leaves_its_chain_whole(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    backups.write(SECOND, A + C, parent=FIRST)
    backups.archive.remove(SECOND)
    backups.archive.remove(SECOND)
    assert backups.read(FIRST) == A + B
    assert backups.objects(SECOND) == []


def test_the_last_removal_leaves_no_file(backups: Backups) -> None:
    backups.write(FIRST, A)
    backups.archive.remove(FIRST)
    assert list(backups.root.rglob("*")) == []


def test_what_a_crash_left_is_gone_when_the_backup_is_made_again(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    backups.manifest(FIRST).unlink()
    (backups.manifest(FIRST).parent / ".partial-x").write_bytes(b"half")
    backups.write(FIRST, C)
    assert [path.is_file() for path in backups.objects(FIRST)] == [True]
    assert backups.read(FIRST) == C


@pytest.mark.parametrize("damage", [
    b"", b"garbage", zlib.compress(B), zlib.compress(A[:-1]), zlib.compress(A + b"A"), zlib.compress(bytes(CHUNK_BYTES * 40))],
    ids=["empty", "no zlib", "another chunk", "short", "long", "bomb"])
def test_a_damaged_chunk_is_noticed(backups: Backups, damage: bytes) -> None:
    backups.write(FIRST, A)
    (chunk,) = backups.objects(FIRST)
    chunk.write_bytes(damage)
    for act in (backups.read, lambda key: backups.archive.verify(key, check=lambda: None)):
        with pytest.raises(StoreFailed, match="chunk 0 of backup .* is damaged"):
            act(FIRST)


def test_a_lost_chunk_is_noticed_and_its_backup_named(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    backups.write(SECOND, A + C, parent=FIRST)
    for chunk in backups.objects(FIRST):
        chunk.unlink()
    with pytest.raises(StoreFailed, match=f"chunk 0 of backup {SECOND.backup_id} is lost: backup {FIRST.backup_id} had it"):
        backups.archive.verify(SECOND, check=lambda: None)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"digest": "x"}', '{"digest": "x", "format": 2, "chunk_bytes": 1}'])
def test_a_manifest_that_cannot_be_read_is_refused(backups: Backups, text: str) -> None:
    backups.write(FIRST, A)
    backups.manifest(FIRST).write_text(text)
    with pytest.raises(StoreFailed, match="manifest"):
        backups.read(FIRST)


def test_a_manifest_that_was_changed_is_refused(backups: Backups) -> None:
    backups.write(FIRST, A + B)
    fields = json.loads(backups.manifest(FIRST).read_text())
    fields["chunks"].reverse()
    backups.manifest(FIRST).write_text(json.dumps(fields))
    with pytest.raises(StoreFailed, match="digest differs"):
        backups.read(FIRST)


def test_the_manifest_of_other_content_is_refused_where_its_digest_is_known(backups: Backups) -> None:
    digest = backups.write(FIRST, A)
    backups.write(FIRST, B)
    with pytest.raises(StoreFailed, match="is not the one that was written"):
        backups.read(FIRST, digest=digest)


def test_a_manifest_in_the_place_of_anothers_is_refused(backups: Backups) -> None:
    backups.write(FIRST, A)
    backups.write(SECOND, B)
    backups.manifest(SECOND).write_bytes(backups.manifest(FIRST).read_bytes())
    with pytest.raises(StoreFailed, match="is not the one that was written"):
        backups.read(SECOND)


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../b", "..", "a//b", "a/", "a\x00b", ".partial-x"])
def test_a_store_opens_nothing_outside_of_its_directory(backups: Backups, key: str) -> None:
    store = DirectoryStore(backups.root)
    requests: list[Callable[[], object]] = [
        lambda: store.put(key, b""), lambda: store.get(key, max_bytes=1), lambda: store.delete(key), lambda: store.clear(key)]
    for act in requests:
        with pytest.raises(StoreFailed, match="no key"):
            act()


def test_a_store_leaves_the_space_free_that_guests_need(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "backups", min_free_gb=1 << 30)
    with pytest.raises(StoreFailed, match="min_free_gb"):
        store.put("a/b", b"x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_backup_that_finds_no_space_is_refused_before_anything_is_written(backups: Backups, monkeypatch: pytest.MonkeyPatch) -> None:
    backups.write(FIRST, A)
    full = types.SimpleNamespace(f_bavail=100, f_frsize=4096)
    monkeypatch.setattr("nova_lite.volume.backups.archive.os.statvfs", lambda path: full)
    with pytest.raises(StoreFailed, match=f"no space for its {CHUNK_BYTES} bytes"):
        backups.read(FIRST)
    assert not backups.target.exists()


def test_a_volume_id_that_is_the_start_of_anothers_finds_only_its_own(backups: Backups) -> None:
    backups.write(BackupKey("v", "one"), A)
    backups.write(BackupKey("vv", "two"), A)
    assert backups.archive.backup_ids("v") == ["one"]
