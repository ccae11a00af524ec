# SPDX-License-Identifier: Apache-2.0
"""A directory as a pool: who may read its files, what a crash or a hostile image or guest can do, and when it is full."""

from __future__ import annotations

import dataclasses
import os
import pwd
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.rpc.compute import Image
from nova_lite.rpc.volume import Connector, Content, ContentSource, Export, Snapshot, Volume
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.directory.qcow2_files import MAX_LAYERS, read_header
from nova_lite.volume.driver import ResizedBy
from nova_lite.worker import image_lock
from tests.support.guests import ImageServer, image_server
from tests.support.volume_pools import Subject, missing_for, pool_of

BLANK = Content()
needs_qemu = pytest.mark.skipif(bool(missing_for("directory-qcow2")), reason=f"not here: {missing_for('directory-qcow2')}")
needs_xfs = pytest.mark.skipif(bool(missing_for("directory-raw")), reason=f"not here: {missing_for('directory-raw')}")
pytestmark = needs_qemu


@pytest.fixture
def qcow2(tmp_path: Path) -> Iterator[Subject]:
    with pool_of("directory-qcow2", tmp_path) as subject:
        yield subject


@pytest.fixture
def raw(tmp_path: Path) -> Iterator[Subject]:
    with pool_of("directory-raw", tmp_path) as subject:
        yield subject


def pool(subject: Subject) -> DirectoryPool:
    assert isinstance(subject.pool, DirectoryPool)
    return subject.pool


def root(subject: Subject) -> Path:
    return pool(subject).layout.root


def path_of(subject: Subject, volume: Volume) -> Path:
    return pool(subject).path_of(volume)


def reopen(subject: Subject) -> None:
    subject.pool.close()
    subject.pool.open(volumes=[], snapshots=[])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def of_image(image: Image) -> Content:
    return Content(source=ContentSource.IMAGE, id=image.id, image=image)


def of_snapshot(snapshot: Snapshot) -> Content:
    return Content(source=ContentSource.SNAPSHOT, id=snapshot.snapshot_id, provider_name=snapshot.provider_name, size_gb=1)


def qcow2_image(directory: Path, *arguments: str) -> Path:
    path = directory / "image.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *arguments, str(path), "1M"], check=True, timeout=30)
    return path


def test_an_image_is_copied_whatever_its_format(qcow2: Subject, tmp_path: Path) -> None:
    path = qcow2_image(tmp_path)
    subprocess.run(["qemu-io", "-c", "write -P 73 0 64k", str(path)], check=True, timeout=30, capture_output=True)
    with image_server(path) as images:
        volume = qcow2.volume()
        assert qcow2.create(volume, of_image(images.image())) == 1 << 20
    assert (qcow2.first(volume), qcow2.size_gb(volume)) == (73, 1)
    assert list((tmp_path / "conversion").iterdir()) == []


def refused(subject: Subject, image: Image) -> str:
    """Why the image is refused; nothing is left of it."""
    with pytest.raises(errors.ImageFailed) as refusal:
        subject.create(subject.volume(), of_image(image))
    assert (subject.pool.names(), subject.rest()) == (frozenset(), [])
    return refusal.value.text


def test_an_image_with_a_backing_file_is_refused(qcow2: Subject, tmp_path: Path) -> None:
    with image_server(qcow2_image(tmp_path, "-F", "raw", "-b", "/etc/passwd", "-u")) as images:
        assert "backing file" in refused(qcow2, images.image())


def test_an_image_with_a_data_file_is_refused(qcow2: Subject, tmp_path: Path) -> None:
    with image_server(qcow2_image(tmp_path, "-o", f"data_file={tmp_path}/data")) as images:
        assert "data file" in refused(qcow2, images.image())


@pytest.fixture
def images() -> Iterator[ImageServer]:
    with image_server(b"I" * 4096) as server:
        yield server


def test_an_image_of_other_bytes_than_recorded_is_refused(qcow2: Subject, images: ImageServer) -> None:
    image = dataclasses.replace(images.image(disk_format="raw"), checksum="0" * 128)
    assert "checksum" in refused(qcow2, image)


def test_an_image_that_is_not_what_it_is_recorded_as_is_refused(qcow2: Subject, tmp_path: Path) -> None:
    with image_server(qcow2_image(tmp_path)) as served:
        assert "is recorded as raw but is qcow2" in refused(qcow2, served.image(disk_format="raw"))


def test_a_full_pool_makes_and_grows_nothing_and_says_why(tmp_path: Path) -> None:
    with pool_of("directory-qcow2", tmp_path) as roomy:
        volume = roomy.created(BLANK)
    with pool_of("directory-qcow2", tmp_path, min_free_gb=1 << 30) as full:
        for refused_work in (
            lambda: full.created(BLANK), lambda: full.pool.extend(full.resized(volume, size_gb=2), is_in_use=False),
            lambda: full.snapshotted(volume),
        ):
            with pytest.raises(errors.VolumeFailed, match=r"pool local has .* GiB free, and keeps \d+ GiB \(min_free_gb\)"):
                refused_work()
        assert full.size_gb(volume) == 1
        assert full.pool.names() == {volume.provider_name}
        full.pool.delete(volume)


@pytest.mark.parametrize("name", ["../volume", "a/b", "", ".hidden", "base-1", "pool.json", "lock", "snapshots", "v" * 200])
def test_a_name_that_leads_elsewhere_is_refused(qcow2: Subject, name: str) -> None:
    volume = dataclasses.replace(qcow2.volume(), provider_name=name)
    before = sorted(root(qcow2).rglob("*"))
    for refused_work in (lambda: qcow2.pool.create(volume, BLANK, is_in_use=False, images=qcow2.images, check=lambda: None),
                         lambda: qcow2.pool.delete(volume), lambda: path_of(qcow2, volume)):
        with pytest.raises(errors.VolumeFailed):
            refused_work()
    assert sorted(root(qcow2).rglob("*")) == before


def test_no_other_user_reads_a_volume_or_lists_the_pool(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    qcow2.snapshotted(volume)
    assert mode(path_of(qcow2, volume)) == 0o600
    assert mode(root(qcow2)) & 0o444 == 0o400
    assert mode(root(qcow2) / "snapshots") == 0o700
    (base,) = root(qcow2).glob("base-*")
    assert (mode(base), len(base.name)) == (0o444, len("base-") + 32)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_user_who_owns_the_volume_as_qemu_does_reads_all_of_it() -> None:
    with tempfile.TemporaryDirectory() as directory:  # not below pytest's, through which root alone passes
        Path(directory).chmod(0o711)
        with pool_of("directory-qcow2", Path(directory)) as subject:
            volume = subject.created(BLANK)
            subject.write(volume, "A")
            subject.snapshotted(volume)
            path, user = path_of(subject, volume), pwd.getpwnam("nobody")
            os.chown(path, user.pw_uid, user.pw_gid)  # as libvirt does
            guest = subprocess.run(
                ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--",
                 "qemu-io", "-f", "qcow2", "-c", "read -P 65 0 64k", "-c", "write -P 66 0 64k", str(path)],
                capture_output=True, text=True, timeout=30)
            os.chown(path, 0, 0)
            assert "Pattern verification failed" not in guest.stdout
            assert (guest.returncode, guest.stderr, subject.first(volume)) == (0, "", ord("B"))


def test_a_snapshot_of_an_unwritten_volume_adds_no_layer(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    qcow2.write(volume, "A")
    qcow2.snapshotted(volume)
    qcow2.snapshotted(volume)
    qcow2.snapshotted(volume)
    assert len(list(root(qcow2).glob("base-*"))) == 1


def layers(subject: Subject, path: Path) -> int:
    count = 1
    while name := read_header(path)[1]:
        path, count = root(subject) / name, count + 1
    return count


def test_no_volume_has_more_layers_than_the_bound(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    for number in range(MAX_LAYERS + 2):
        qcow2.write(volume, chr(ord("A") + number))
        snapshot = qcow2.snapshotted(volume)
    clone = qcow2.created(of_snapshot(snapshot))
    assert layers(qcow2, path_of(qcow2, volume)) <= MAX_LAYERS
    assert layers(qcow2, path_of(qcow2, clone)) <= MAX_LAYERS
    assert qcow2.first(clone) == ord("A") + MAX_LAYERS + 1


def test_layers_of_snapshots_that_are_deleted_do_not_pile_up(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    for number in range(2 * MAX_LAYERS + 3):
        qcow2.write(volume, chr(ord("A") + number))
        qcow2.pool.delete_snapshot(qcow2.snapshotted(volume))
    assert layers(qcow2, path_of(qcow2, volume)) < MAX_LAYERS
    assert len(qcow2.rest()) < MAX_LAYERS
    assert qcow2.first(volume) == ord("A") + 2 * MAX_LAYERS + 2


def test_a_base_goes_with_the_last_that_is_on_it(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    qcow2.write(volume, "A")
    snapshot = qcow2.snapshotted(volume)
    clone = qcow2.created(of_snapshot(snapshot))
    reopen(qcow2)
    qcow2.pool.delete_snapshot(snapshot)
    qcow2.pool.delete(volume)
    assert len(qcow2.rest()) == 1
    qcow2.pool.delete(clone)
    assert qcow2.rest() == []


def test_a_volume_that_a_crash_left_as_half_a_base_is_as_it_was(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    qcow2.write(volume, "A")
    path = path_of(qcow2, volume)
    os.link(path, root(qcow2) / ("base-" + "0" * 32))  # and the worker was killed before the overlay had the volume's name
    path.chmod(0o444)
    (root(qcow2) / "partial" / "overlay").touch()
    reopen(qcow2)
    assert (qcow2.rest(), mode(path), qcow2.first(volume)) == ([], 0o600, ord("A"))


def test_a_base_that_a_crash_left_to_nobody_is_removed(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    qcow2.write(volume, "A")
    snapshot = qcow2.snapshotted(volume)
    path_of(qcow2, volume).unlink()  # and the worker was killed before it removed the base
    (root(qcow2) / "snapshots" / snapshot.provider_name).unlink()
    reopen(qcow2)
    assert qcow2.rest() == []


def test_a_header_that_leads_out_of_the_pool_is_not_followed(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    subprocess.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", "/etc/passwd", str(path_of(qcow2, volume))], check=True, timeout=30)
    with pytest.raises(errors.VolumeFailed, match="none of the pool's"):
        qcow2.first(volume)
    path_of(qcow2, volume).unlink()


def test_a_volume_that_qemu_has_open_is_left_to_it(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    path, grown = path_of(qcow2, volume), qcow2.resized(volume, size_gb=2)
    with subprocess.Popen(["qemu-io", "-f", "qcow2", str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        qemu.stdin.write(b"length\n")
        qemu.stdin.flush()
        assert qemu.stdout.readline()
        assert image_lock.is_held(path)
        assert qcow2.pool.extend(grown, is_in_use=True) is ResizedBy.HYPERVISOR
        assert qcow2.size_gb(volume) == 1
        qemu.communicate(b"quit\n", timeout=30)
    assert not image_lock.is_held(path)
    assert qcow2.pool.extend(grown, is_in_use=True) is ResizedBy.HYPERVISOR
    assert qcow2.size_gb(volume) == 2


def test_a_pool_whose_file_system_is_not_mounted_is_no_empty_one(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    mark, aside = root(qcow2) / "pool.json", root(qcow2).with_name("aside")
    mark.rename(aside)
    with pytest.raises(errors.VolumeFailed, match="is its file system mounted"):
        qcow2.pool.pools()
    qcow2.pool.close()
    with pytest.raises(errors.VolumeFailed, match="is its file system mounted"):
        qcow2.pool.open(volumes=[volume], snapshots=[])
    assert not mark.exists()
    aside.rename(mark)
    qcow2.pool.open(volumes=[volume], snapshots=[])
    assert qcow2.size_gb(volume) == 1


def test_a_pool_is_one_workers(qcow2: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.worker.state_lock.WAIT_S", 0.0)
    with pytest.raises(errors.StateInUse):
        DirectoryPool(pool(qcow2)._options, timeout_s=1).open(volumes=[], snapshots=[])


def test_a_pool_of_qcow2_files_is_not_exported_by_what_knows_raw_ones_only(qcow2: Subject) -> None:
    qcow2.pool.close()
    with pytest.raises(errors.VolumeFailed, match="are qcow2 files"):
        DirectoryPool(pool(qcow2)._options, timeout_s=1, is_raw=True).open(volumes=[], snapshots=[])


def test_a_volume_is_exported_to_its_own_host_only(qcow2: Subject) -> None:
    volume = qcow2.created(BLANK)
    export = Export(attachment_id="a", volume=volume, connector=Connector(host="node1"), is_read_only=True)
    assert qcow2.exports.export(export) == {"driver_volume_type": "local", "data": {
        "device_path": str(path_of(qcow2, volume)), "format": "qcow2", "access_mode": "ro"}}
    with pytest.raises(errors.VolumeFailed, match="the server is on host node2"):
        qcow2.exports.export(dataclasses.replace(export, connector=Connector(host="node2")))


@needs_xfs
def test_what_a_guest_writes_as_a_header_is_not_followed(raw: Subject, tmp_path: Path) -> None:
    volume = raw.created(BLANK)
    header = qcow2_image(tmp_path, "-F", "raw", "-b", "/etc/passwd", "-u").read_bytes()
    with path_of(raw, volume).open("r+b") as disk:
        disk.write(header)
    snapshot = raw.snapshotted(volume)
    clone = raw.created(of_snapshot(snapshot))
    for disk_format, expected in (("raw", b"QFI\xfb"), ("qcow2", b"QFI\xfb")):
        with raw.pool.image_of(clone, disk_format, is_in_use=False, check=lambda: None) as image:
            assert image.read(4) == expected
            assert b"root:" not in image.read(1 << 20)
    assert raw.size_gb(clone) == 1
    assert raw.exports.export(Export(attachment_id="a", volume=clone, connector=Connector(host="node1")))["data"]["format"] == "raw"


@needs_xfs
def test_a_snapshot_of_a_raw_volume_takes_no_space(raw: Subject) -> None:
    volume = raw.created(BLANK)
    with path_of(raw, volume).open("r+b") as disk:
        disk.write(os.urandom(32 << 20))
        os.fsync(disk.fileno())
    before = os.statvfs(root(raw)).f_bfree * 4096
    raw.snapshotted(volume)
    assert before - os.statvfs(root(raw)).f_bfree * 4096 < 8 << 20


@needs_xfs
def test_a_raw_volume_grows_while_it_is_in_use(raw: Subject) -> None:
    volume = raw.created(BLANK)
    assert raw.pool.extend(raw.resized(volume, size_gb=2), is_in_use=True) is ResizedBy.HYPERVISOR
    assert raw.size_gb(volume) == 2
