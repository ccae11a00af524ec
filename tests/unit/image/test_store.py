# SPDX-License-Identifier: Apache-2.0
"""The store of image files: full disks, files that a crash left, keepalives of uploads."""

from __future__ import annotations

import datetime
import io
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.image import transfer
from nova_lite.api.image.store import Store, clean
from nova_lite.db.base import Base, utcnow
from nova_lite.db.engine import Database
from nova_lite.db.image import images

HOUR = datetime.timedelta(hours=1)
MIB = 1024**2


@pytest.fixture
def store(tmp_path: pathlib.Path) -> Store:
    return Store(str(tmp_path / "images"), max_bytes=10**9)


@pytest.fixture
def session(tmp_path: pathlib.Path) -> Iterator[Session]:
    database = Database(f"sqlite:///{tmp_path}/test.sqlite")
    Base.metadata.create_all(database.engine)
    with database.writer() as made:
        yield made
    database.close()


def receive(store: Store, content: bytes, *, file_id: str = "f") -> None:
    with store.receiving(io.BytesIO(content), file_id=file_id, length=None, on_chunk=lambda: None) as incoming:
        incoming.commit()


def make(session: Session, *, status: str, file_id: str | None, touched: datetime.datetime) -> str:
    image = images.Image(owner="p", status=status, file_id=file_id, updated_at=touched)
    images.create(session, image)
    return image.id


def put(store: Store, name: str, *, age: datetime.timedelta) -> None:
    path = store.path / name
    path.write_bytes(b"x")
    modified_at = (datetime.datetime.now(datetime.UTC) - age).timestamp()
    os.utime(path, (modified_at, modified_at))


def names(store: Store) -> set[str]:
    return {path.name for path in store.names()}


def test_a_file_exists_only_after_commit(store: Store) -> None:
    with store.receiving(io.BytesIO(b"abc"), file_id="f", length=3, on_chunk=lambda: None) as incoming:
        assert names(store) == {"f.part"}
        incoming.commit()
    assert names(store) == {"f"}
    with store.open("f") as stored:
        assert stored.read() == b"abc"


def test_a_file_without_commit_is_removed(store: Store) -> None:
    with store.receiving(io.BytesIO(b"abc"), file_id="f", length=None, on_chunk=lambda: None):
        pass
    assert names(store) == set()


def test_a_failing_write_is_reported_with_the_bytes_written(store: Store) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        with pytest.raises(errors.TooLarge) as full:
            receive(store, bytes(3 * MIB))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{store.path} has no space after {2 * MIB} bytes" in full.value.text
    assert names(store) == set()


_FULL = """
import io, subprocess, sys
from nova_lite import errors
from nova_lite.api.image.store import Store
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", sys.argv[1]], check=True)
store = Store(sys.argv[1] + "/images", max_bytes=10**9)
def receive(length):
    try:
        with store.receiving(io.BytesIO(bytes(5 * 1024**2)), file_id="f", length=length, on_chunk=lambda: None):
            print("taken")
    except errors.TooLarge as full:
        print(full.text, store.names())
receive(None)
receive(5 * 1024**2)
"""


def test_a_full_disk_is_reported_with_the_bytes_written(tmp_path: pathlib.Path) -> None:
    ran = subprocess.run(["unshare", "--mount", "--map-root-user", sys.executable, "-c", _FULL, str(tmp_path)],
                         capture_output=True, text=True, timeout=60, check=True)
    first, second = ran.stdout.splitlines()
    assert first == f"The image store {tmp_path}/images has no space after {3 * MIB} bytes: No space left on device []"
    assert second.startswith(f"The image store {tmp_path}/images has no space for {5 * MIB} bytes: ")
    assert second.endswith("are free []")


_SHARED = """
import io, sqlite3, subprocess, sys
from nova_lite import errors
from nova_lite.api.image.store import Store
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", sys.argv[1]], check=True)
rows = sqlite3.connect(sys.argv[1] + "/rows.sqlite", isolation_level=None)
rows.execute("CREATE TABLE t (x)")
store = Store(sys.argv[1] + "/images", max_bytes=10**9, reserve_bytes=1 << 30)
def receive(file_id, length):
    try:
        with store.receiving(io.BytesIO(bytes(3 * 1024**2)), file_id=file_id, length=length, on_chunk=lambda: None) as incoming:
            incoming.commit()
    except errors.TooLarge:
        return True
while not receive(f"f{len(store.names())}", None):
    pass
print(len(store.names()), receive("last", 3 * 1024**2))
rows.execute("INSERT INTO t VALUES (zeroblob(3000000))")
print(rows.execute("SELECT count(*) FROM t").fetchone()[0])
"""


def test_a_store_that_tenants_fill_leaves_space_for_the_database(tmp_path: pathlib.Path) -> None:
    ran = subprocess.run(["unshare", "--mount", "--map-root-user", sys.executable, "-c", _SHARED, str(tmp_path)],
                         capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == ["11", "True", "1"]


def test_clean_requeues_stalled_uploads_and_keeps_running_ones(store: Store, session: Session) -> None:
    now = utcnow()
    stalled = make(session, status=images.SAVING, file_id="dead", touched=now - 2 * HOUR)
    running = make(session, status=images.SAVING, file_id="live", touched=now - HOUR / 2)
    put(store, "dead.part", age=2 * HOUR)
    put(store, "live.part", age=HOUR / 2)
    assert clean(store, session, now) == ([stalled], ["dead.part"])
    session.expire_all()
    assert images.get(session, stalled, project_id=None).status == images.QUEUED
    assert images.get(session, running, project_id=None).status == images.SAVING
    assert names(store) == {"live.part"}


def test_clean_removes_old_files_without_an_image(store: Store, session: Session) -> None:
    now = utcnow()
    make(session, status=images.ACTIVE, file_id="kept", touched=now - 5 * HOUR)
    for name, age in (("kept", 5 * HOUR), ("orphan", 2 * HOUR), ("fresh", HOUR / 2)):
        put(store, name, age=age)
    assert clean(store, session, now) == ([], ["orphan"])
    assert names(store) == {"kept", "fresh"}


def test_clean_is_idempotent(store: Store, session: Session) -> None:
    now = utcnow()
    make(session, status=images.SAVING, file_id="dead", touched=now - 2 * HOUR)
    clean(store, session, now)
    assert clean(store, session, now) == ([], [])


def test_an_upload_that_was_reset_cannot_finish(session: Session) -> None:
    contents = images.Contents(size=1, virtual_size=1, md5="m", sha512="s")
    made = make(session, status=images.QUEUED, file_id=None, touched=utcnow())
    images.begin_upload(session, made, file_id="first")
    images.abandon_upload(session, made, file_id="first")
    images.begin_upload(session, made, file_id="second")
    assert not images.finish_upload(session, made, file_id="first", contents=contents)
    assert not images.continue_upload(session, made, file_id="first", now=utcnow())
    images.abandon_upload(session, made, file_id="first")
    assert images.finish_upload(session, made, file_id="second", contents=contents)


def test_a_running_upload_touches_its_row_once_a_minute() -> None:
    clock, calls = iter([0.0, 59.0, 60.0, 60.0, 119.0, 121.0, 121.0]), []
    keepalive = transfer._Keepalive(lambda: calls.append(1), clock=lambda: next(clock))
    for _ in range(4):
        keepalive()
    assert len(calls) == 2
