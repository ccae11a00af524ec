# SPDX-License-Identifier: Apache-2.0
"""The power goes while an all-in-one cloud is used: all that was answered is there when it is back.

The state is on a file system in a file. What has reached that file is what a disk would have when the power goes; all else
is in the kernel's memory, where it stays: nothing is written back by age within the test.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system.all_in_one import AllInOne, CloudGone
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system: needs root")
SIZE = 96 << 20
CUTS = 3
# Answers between two cuts.
BETWEEN = 12


class Disk:
    """A file system in the file `image`, mounted on `path`."""

    def __init__(self, directory: Path) -> None:
        self.image, self.path = directory / "disk", directory / "mnt"
        with self.image.open("wb") as file:
            file.truncate(SIZE)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(self.image)], check=True)

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Its journal is committed by fsync alone."""
        with _mounted(self.image, self.path) as path:
            yield path

    def cut(self, pid: int, copy: Path) -> None:
        """Copy what is on the disk at this moment; the process is stopped meanwhile, its writes under way end before."""
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: _is_stopped(pid), "all threads to stop")
            shutil.copyfile(self.image, copy)
        finally:
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _mounted(image: Path, path: Path) -> Iterator[Path]:
    path.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,commit=900,noatime", str(image), str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def _is_stopped(pid: int) -> bool:
    threads = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(threads) == {"T"}


class Client(threading.Thread):
    """Creates servers, and deletes every other one; keeps what was answered."""

    def __init__(self, cloud: AllInOne, *, image: str, network: str) -> None:
        super().__init__(daemon=True)
        self._cloud, self._image, self._network = cloud, image, network
        self.created: list[str] = []
        self.deleted: list[str] = []
        self.stopping = threading.Event()

    @property
    def answers(self) -> int:
        return len(self.created) + len(self.deleted)

    def run(self) -> None:
        while not self.stopping.is_set():
            with contextlib.suppress(CloudGone):
                self.created.append(self._cloud.boot("s", image=self._image, network=self._network))
                if len(self.created) % 2:
                    self._cloud.request("DELETE", f"/v2.1/servers/{self.created[-1]}")
                    self.deleted.append(self.created[-1])


def lost(database: Path, created: list[str], deleted: list[str]) -> list[str]:
    """What was answered and is not in the database."""
    with contextlib.closing(sqlite3.connect(database)) as rows:
        assert rows.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        servers = {one for one, in rows.execute("SELECT id FROM servers")}
        deletes = {one for one, in rows.execute("SELECT resource_id FROM actions WHERE name = 'delete'")}
    return [f"create {one}" for one in created if one not in servers] + [f"delete {one}" for one in deleted if one not in deletes]


def test_nothing_that_was_answered_is_lost_when_the_power_goes(tmp_path: Path) -> None:
    disk, image = Disk(tmp_path), tmp_path / "image.raw"
    image.write_bytes(bytes(1 << 20))
    found: list[str] = []
    with disk.mounted() as path:
        cloud = AllInOne(path, options="[quota]\ninstances = -1\ncores = -1\nram = -1\n")
        cloud.start()
        clients = [Client(cloud, image=cloud.make_image(image, "raw"), network=cloud.make_network("n", "10.66.0.0/16")) for _ in range(2)]
        for client in clients:
            client.start()
        for number in range(CUTS):
            enough = sum(client.answers for client in clients) + BETWEEN
            wait_until(lambda enough=enough: sum(client.answers for client in clients) >= enough, "answers")  # type: ignore[misc]
            created = [one for client in clients for one in list(client.created)]
            deleted = [one for client in clients for one in list(client.deleted)]
            copy = tmp_path / f"copy-{number}"
            disk.cut(cloud.pid, copy)
            with _mounted(copy, tmp_path / "copy") as after:
                found += lost(after / "state" / "nova-lite.sqlite", created, deleted)
            copy.unlink()
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
        cloud.stop()
    assert found == []
