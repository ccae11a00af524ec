# SPDX-License-Identifier: Apache-2.0
"""Files and records of a worker survive crashes and full disks whole."""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.rpc.order import NEVER, Order
from nova_lite.worker import files
from nova_lite.worker.orders import order_of_fence
from nova_lite.worker.records import RecordFiles
from nova_lite.worker.tombstones import LIFETIME_S, Tombstones


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file grows beyond 16 bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_file_is_replaced_and_readable_by_its_owner_alone(tmp_path: Path, *, is_durable: bool) -> None:
    path = tmp_path / "record"
    files.replace(path, "old", is_durable=is_durable)
    files.replace(path, "new", is_durable=is_durable)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_on_a_full_disk_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record"
    files.replace(path, "old")
    with full_disk(), pytest.raises(OSError, match="File too large") as caught:
        files.replace(path, "new" * 100)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(path))
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "old"


def test_what_a_crash_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / f"record.1{files.PARTIAL}").write_text("{")
    store = RecordFiles(tmp_path)
    store.open()
    assert list(tmp_path.iterdir()) == []


def test_records_are_read_again_and_removed(tmp_path: Path) -> None:
    store = RecordFiles(tmp_path / "servers", suffix=".json")
    store.open()
    store.write("b", {"fence": 2})
    store.write("a", [1])
    store.remove("b")
    store.remove("b")
    assert dict(RecordFiles(tmp_path / "servers", suffix=".json").read()) == {"a": [1]}


def test_a_record_that_cannot_be_read_does_not_hide_the_others(tmp_path: Path) -> None:
    store = RecordFiles(tmp_path)
    store.write("a", 1)
    (tmp_path / "b").write_text("{")
    assert list(store.read()) == [("a", 1)]
    assert (tmp_path / "b").exists()


AT_5 = Order(epoch=1_700_000_000, action=5, sequence=2, nonce="abcd")


def test_a_tombstone_outlives_the_process_and_only_grows(tmp_path: Path) -> None:
    tombstones = Tombstones(RecordFiles(tmp_path))
    tombstones.load()
    tombstones.put("server", AT_5)
    tombstones.put("server", order_of_fence(503))
    again = Tombstones(RecordFiles(tmp_path))
    again.load()
    assert (again.order("server"), again.order("other")) == (AT_5, NEVER)


def test_tombstones_of_release_0_1_are_read(tmp_path: Path) -> None:
    (tmp_path / "server").write_text("701")
    (tmp_path / "cut-off").write_text("")
    tombstones = Tombstones(RecordFiles(tmp_path))
    tombstones.load()
    assert tombstones.order("server") == order_of_fence(701)


def test_old_tombstones_expire(tmp_path: Path) -> None:
    written = Tombstones(RecordFiles(tmp_path))
    written.put("server", AT_5)
    age = (tmp_path / "server").stat().st_mtime + LIFETIME_S
    early = Tombstones(RecordFiles(tmp_path), now=lambda: age - 1)
    late = Tombstones(RecordFiles(tmp_path), now=lambda: age + 1)
    early.load()
    assert early.order("server") == AT_5
    late.load()
    assert late.order("server") == NEVER
    assert list(tmp_path.iterdir()) == []
