# SPDX-License-Identifier: Apache-2.0
"""The cache of base images: fetched once, checked, safe from hostile files, cleaned."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import pwd
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.compute import images
from nova_lite.compute.images import Base, ImageCache, key_of
from nova_lite.rpc.compute import Image
from tests.support.guests import ImageServer, image_server

RAW = b"boot" + bytes(3 << 20) + b"end!"
PADDED = RAW + bytes(-len(RAW) % 512)


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with image_server(RAW) as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(
        tmp_path / "_base", host="node1", idle_timeout_s=5, convert_timeout_s=60, wait=lambda seconds: None
    )


def fetch(cache: ImageCache, image: Image, *, max_bytes: int | None = None) -> Base:
    return cache.fetch(image, max_bytes=max_bytes, check=lambda: None)


def fetch_elsewhere(directory: Path, image: Image) -> None:
    fetch(ImageCache(directory, host="other", idle_timeout_s=5, convert_timeout_s=60), image)


def qcow2(tmp_path: Path, *options: str, size: str = "4M") -> bytes:
    path = tmp_path / "made.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, str(path), size], check=True, timeout=30)
    return path.read_bytes()


def test_an_image_without_bytes_is_an_empty_disk(cache: ImageCache) -> None:
    with image_server(b"") as empty:
        base = fetch(cache, empty.image(disk_format="raw"))
    assert (base.path.read_bytes(), base.virtual_size) == (b"", 0)


def test_a_raw_image_arrives_whole_and_padded_to_sectors(server: ImageServer, cache: ImageCache) -> None:
    base = fetch(cache, server.image(disk_format="raw"))
    assert base.path.read_bytes() == PADDED
    assert base.virtual_size == len(PADDED)


def test_holes_stay_holes(server: ImageServer, cache: ImageCache) -> None:
    server.content = bytes(16 << 20) + b"x"
    base = fetch(cache, server.image(disk_format="raw"))
    assert base.path.stat().st_blocks * 512 < 1 << 20


def test_a_qcow2_image_is_kept_as_raw(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    server.content = qcow2(tmp_path)
    base = fetch(cache, server.image())
    assert (base.virtual_size, base.path.read_bytes()) == (4 << 20, bytes(4 << 20))


def test_a_second_fetch_downloads_nothing(server: ImageServer, cache: ImageCache) -> None:
    first = fetch(cache, server.image(disk_format="raw"))
    assert fetch(cache, server.image(disk_format="raw")) == first
    assert server.requests == 1


def test_ten_at_once_download_once(server: ImageServer, cache: ImageCache) -> None:
    image = server.image(disk_format="raw")
    threads = [threading.Thread(target=fetch, args=(cache, image)) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert server.requests == 1


def test_two_processes_at_once_download_once(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    image = server.image(disk_format="raw")
    child = multiprocessing.get_context("spawn").Process(target=fetch_elsewhere, args=(tmp_path / "_base", image))
    child.start()
    fetch(cache, image)
    child.join(30)
    assert (child.exitcode, server.requests) == (0, 1)


def test_a_wrong_checksum_is_refused(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    image = dataclasses.replace(server.image(disk_format="raw"), checksum="0" * 128)
    with pytest.raises(errors.ImageFailed, match="checksum is not the one"):
        fetch(cache, image)
    assert not list((tmp_path / "_base").glob("*.part*"))


def test_a_download_that_breaks_off_is_tried_again_and_then_refused(server: ImageServer, cache: ImageCache) -> None:
    image = server.image(disk_format="raw")
    server.cut_at = 1000
    with pytest.raises(errors.ImageFailed, match="1000 of|connection to the image service failed"):
        fetch(cache, image)
    assert server.requests == 3


def test_an_image_longer_than_it_says_is_refused(server: ImageServer, cache: ImageCache) -> None:
    with pytest.raises(errors.ImageFailed, match="longer than"):
        fetch(cache, dataclasses.replace(server.image(disk_format="raw"), size=10))


def test_a_refused_token_is_not_tried_again(server: ImageServer, cache: ImageCache) -> None:
    with pytest.raises(errors.ImageFailed, match="answered 401"):
        fetch(cache, dataclasses.replace(server.image(disk_format="raw"), token="old"))
    assert server.requests == 1


def test_an_image_service_that_is_away_is_named(server: ImageServer, cache: ImageCache) -> None:
    image = dataclasses.replace(server.image(disk_format="raw"), url="http://127.0.0.1:1/x")
    with pytest.raises(errors.ImageFailed, match="connection to the image service failed"):
        fetch(cache, image)


def test_a_qcow2_with_a_backing_file_is_refused(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    server.content = qcow2(tmp_path, "-b", "/etc/passwd", "-F", "raw", "-u")
    with pytest.raises(errors.ImageFailed, match="has a backing file"):
        fetch(cache, server.image())


def test_a_qcow2_with_a_data_file_is_refused(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    server.content = qcow2(tmp_path, "-o", f"data_file={tmp_path}/data")
    with pytest.raises(errors.ImageFailed, match="external data file"):
        fetch(cache, server.image())


def test_a_qcow2_said_to_be_raw_is_refused(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    server.content = qcow2(tmp_path)
    with pytest.raises(errors.ImageFailed, match="recorded as raw but is qcow2"):
        fetch(cache, server.image(disk_format="raw"))


def test_a_raw_image_said_to_be_qcow2_is_refused(server: ImageServer, cache: ImageCache) -> None:
    with pytest.raises(errors.ImageFailed, match="recorded as qcow2 but is raw"):
        fetch(cache, server.image())


def test_a_format_that_does_not_run_here_is_refused(server: ImageServer, cache: ImageCache) -> None:
    with pytest.raises(errors.ImageFailed, match="vmdk cannot run here"):
        fetch(cache, server.image(disk_format="vmdk"))


def test_a_broken_qcow2_is_refused_with_the_tools_words(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    good = bytearray(qcow2(tmp_path))
    struct.pack_into(">I", good, 20, 99)  # bits of a cluster
    server.content = bytes(good)
    with pytest.raises(errors.ImageFailed, match="qemu-img"):
        fetch(cache, server.image())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_reads_a_users_image_has_no_rights(server: ImageServer, cache: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as programs:  # not below pytest's directory, through which root alone passes
        Path(programs).chmod(0o755)
        Path(programs, "qemu-img").write_text("#!/bin/sh\ngrep -E '^(Uid|CapEff)' /proc/self/status >&2; exit 1\n")
        Path(programs, "qemu-img").chmod(0o755)
        server.content = qcow2(tmp_path)
        monkeypatch.setenv("PATH", programs, prepend=":")
        with pytest.raises(errors.ImageFailed) as failed:
            fetch(cache, server.image())
    nobody = pwd.getpwnam("nobody").pw_uid
    assert f"Uid: {nobody} {nobody} {nobody} {nobody} CapEff: {0:016x}" in failed.value.text


def test_a_disk_larger_than_the_flavors_is_refused_with_both_sizes(
    server: ImageServer, cache: ImageCache, tmp_path: Path
) -> None:
    server.content = qcow2(tmp_path, size="3G")
    with pytest.raises(errors.ImageFailed, match="3.00 GiB does not fit in the flavor's 1 GiB"):
        fetch(cache, server.image(), max_bytes=1 << 30)


def test_a_base_that_lost_bytes_is_fetched_again(server: ImageServer, cache: ImageCache) -> None:
    base = fetch(cache, server.image(disk_format="raw"))
    os.truncate(base.path, 1000)
    assert fetch(cache, server.image(disk_format="raw")).path.read_bytes() == PADDED


def test_a_base_cannot_be_written(server: ImageServer, cache: ImageCache) -> None:
    base = fetch(cache, server.image(disk_format="raw"))
    assert base.path.stat().st_mode & 0o777 == 0o444


def test_other_bytes_under_the_same_id_are_another_base(server: ImageServer, cache: ImageCache) -> None:
    first = fetch(cache, server.image(disk_format="raw"))
    server.content = b"other" * 512
    assert fetch(cache, server.image(disk_format="raw")).path != first.path


def test_giving_up_leaves_nothing_half_made(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    def give_up() -> None:
        raise errors.StaleRequest(id="s", fence=1, known=2)

    with pytest.raises(errors.StaleRequest):
        cache.fetch(server.image(disk_format="raw"), max_bytes=None, check=give_up)
    assert not list((tmp_path / "_base").glob("*.part*"))


def test_half_files_of_a_crash_are_removed(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    fetch(cache, server.image(disk_format="raw"))
    half = tmp_path / "_base" / "0123.part.raw"
    half.write_text("x")
    cache.clean(kept=[], unused_for_s=60)
    assert not half.exists()


def test_a_base_unused_for_long_is_removed(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    image = server.image(disk_format="raw")
    base = fetch(cache, image)
    os.utime(tmp_path / "_base" / f"{key_of(image)}.json", (time.time() - 100, time.time() - 100))
    cache.clean(kept=[], unused_for_s=60)
    assert not base.path.exists()


def test_a_base_that_a_guest_needs_is_kept(server: ImageServer, cache: ImageCache, tmp_path: Path) -> None:
    image = server.image(disk_format="raw")
    base = fetch(cache, image)
    os.utime(tmp_path / "_base" / f"{key_of(image)}.json", (time.time() - 100, time.time() - 100))
    cache.clean(kept=[image], unused_for_s=60)
    assert base.path.exists()


def _compressed(tmp_path: Path, size: int) -> bytes:
    """A qcow2 of a few hundred KiB that is `size` bytes of data when it is written out."""
    raw, target = tmp_path / "bomb.raw", tmp_path / "bomb.qcow2"
    raw.write_bytes(b"U" * size)
    subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(target)], check=True, timeout=60)
    raw.unlink()
    return target.read_bytes()


_SMALL_DISK = """
import subprocess, sys, time
from pathlib import Path
from nova_lite import errors
from nova_lite.compute.images import ImageCache, key_of
from tests.support.guests import image_server
place = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], check=True)
ago = [0.0]
cache = ImageCache(place / "_base", host="h", idle_timeout_s=5, convert_timeout_s=60, now=lambda: time.time() + ago[0])
with image_server(b"U" * (16 << 20)) as server:
    def fetch():
        try:
            return cache.fetch(server.image(disk_format="raw"), max_bytes=None, check=lambda: None).path.exists()
        except errors.ImageFailed as failed:
            return "no space" in failed.text
    first = server.image(disk_format="raw")
    fetch()
    server.content = b"V" * (30 << 20)
    print(fetch(), cache.find(first) is not None)
    ago[0] = 1000.0
    cache.clean(kept=[first], unused_for_s=86400)
    print(fetch(), cache.find(first) is not None)
    ago[0] = 2000.0
    cache.clean(kept=[], unused_for_s=86400)
    print(server.image(disk_format="raw").size, cache.find(first) is not None)
    ago[0] = 3000.0
    cache.clean(kept=[], unused_for_s=86400)
    ago[0] = 4000.0
    print(cache.fetch(server.image(disk_format="raw"), max_bytes=None, check=lambda: None).path.exists(), (place / "_base" / key_of(first)).exists())
"""


def test_a_base_never_takes_the_space_of_guests(tmp_path: Path) -> None:
    ran = subprocess.run(["unshare", "--mount", "--map-root-user", sys.executable, "-W", "ignore", "-c", _SMALL_DISK, str(tmp_path)],
                         capture_output=True, text=True, timeout=60, check=True)
    # Refused while a guest needs the first base; once none does, the first is removed and the second fits.
    assert ran.stdout.splitlines() == ["True True", "True True", f"{30 << 20} True", "True False"]


def test_what_is_written_out_is_no_larger_than_the_disk(
    server: ImageServer, cache: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = _compressed(tmp_path, 8 << 20)
    monkeypatch.setattr(images.image_format, "virtual_size", lambda *_: 4 << 20)  # as if the header had said less
    with pytest.raises(errors.ImageFailed):
        fetch(cache, server.image())
    assert not [path for path in (tmp_path / "_base").glob("*") if path.suffix != ".lock"]


def test_the_cache_counts_what_it_occupies(server: ImageServer, cache: ImageCache) -> None:
    assert cache.used_bytes() == 0
    server.content = b"x" * (3 << 20)
    fetch(cache, server.image(disk_format="raw"))
    assert 3 << 20 <= cache.used_bytes() < 4 << 20

