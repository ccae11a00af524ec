# SPDX-License-Identifier: Apache-2.0
"""What every driver of volumes promises, checked on the simulated one and on real ones alike."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.rpc.volume import Connector, Content, ContentSource, Export, Snapshot, Volume
from nova_lite.volume.driver import ImageFile
from tests.support.guests import image_server
from tests.support.volume_pools import KINDS, Subject, missing_for, pool_of

BLANK = Content()


@pytest.fixture(scope="module", params=[
    pytest.param(kind, marks=pytest.mark.skipif(bool(missing_for(kind)), reason=f"not here: {missing_for(kind)}")) for kind in KINDS])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    with pool_of(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_left(subject: Subject) -> Iterator[None]:
    yield
    subject.remove_all()
    assert (subject.pool.names(), subject.rest()) == (frozenset(), [])


def from_snapshot(snapshot: Snapshot) -> Content:
    return Content(source=ContentSource.SNAPSHOT, id=snapshot.snapshot_id, provider_name=snapshot.provider_name,
                   size_gb=snapshot.volume.size_gb)


def from_volume(volume: Volume) -> Content:
    return Content(source=ContentSource.VOLUME, id=volume.volume_id, provider_name=volume.provider_name, size_gb=volume.size_gb)


def export_of(volume: Volume) -> Export:
    return Export(attachment_id=str(uuid.uuid4()), volume=volume, connector=Connector(
        host="node1", ip="127.0.0.1", initiator="iqn.2026-12.test:node1"))


def test_a_blank_volume_is_empty_and_has_its_size(subject: Subject) -> None:
    volume = subject.created(BLANK, size_gb=2)
    assert (subject.first(volume), subject.size_gb(volume)) == (0, 2)
    assert subject.pool.names() == {volume.provider_name}


def test_a_volume_that_is_there_is_kept_when_it_is_created_again(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    subject.create(volume, BLANK)
    assert subject.first(volume) == ord("A")


def test_a_volume_of_a_missing_source_is_refused_and_leaves_nothing(subject: Subject) -> None:
    gone = subject.volume()
    with pytest.raises(errors.VolumeFailed):
        subject.create(subject.volume(), from_volume(gone))
    assert subject.pool.names() == frozenset()


def test_an_image_larger_than_the_volume_is_refused_and_leaves_nothing(subject: Subject) -> None:
    with image_server(b"I" * 512) as images:
        image = images.image(disk_format="raw")
        with pytest.raises(errors.ImageFailed):
            subject.create(subject.volume(size_gb=0), Content(source=ContentSource.IMAGE, id=image.id, image=image))
    assert subject.pool.names() == frozenset()


def test_a_volume_of_an_image_is_made_once(subject: Subject) -> None:
    with image_server(b"I" * (1 << 20)) as images:
        content = Content(source=ContentSource.IMAGE, id="image", image=images.image(disk_format="raw"))
        volume = subject.volume()
        assert subject.create(volume, content) == 1 << 20
        requests = images.requests
        assert subject.create(volume, content) is None
        assert (images.requests, subject.size_gb(volume)) == (requests, 1)


def test_a_deleted_volume_is_gone_and_may_be_deleted_again(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.pool.delete(volume)
    subject.pool.delete(volume)
    assert subject.pool.names() == frozenset()


def test_a_volume_grows_and_keeps_its_content(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    grown = subject.resized(volume, size_gb=3)
    subject.pool.extend(grown, is_in_use=False)
    subject.pool.extend(grown, is_in_use=False)
    assert (subject.size_gb(volume), subject.first(volume)) == (3, ord("A"))


def test_a_volume_never_shrinks(subject: Subject) -> None:
    volume = subject.created(BLANK, size_gb=2)
    subject.pool.extend(subject.resized(volume, size_gb=1), is_in_use=False)
    assert subject.size_gb(volume) == 2


def test_a_missing_volume_is_not_extended(subject: Subject) -> None:
    with pytest.raises(errors.VolumeFailed):
        subject.pool.extend(subject.volume(), is_in_use=False)
    assert subject.pool.names() == frozenset()


def test_a_snapshot_keeps_what_the_volume_had(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    subject.write(volume, "B")
    restored = subject.created(from_snapshot(snapshot))
    assert (subject.first(volume), subject.first(restored)) == (ord("B"), ord("A"))
    assert subject.pool.names() == {volume.provider_name, snapshot.provider_name, restored.provider_name}


def test_a_snapshot_that_is_there_is_kept_when_it_is_created_again(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    subject.write(volume, "B")
    subject.pool.create_snapshot(snapshot, is_in_use=False)
    assert subject.first(subject.created(from_snapshot(snapshot))) == ord("A")


def test_a_snapshot_of_a_missing_volume_is_refused_and_leaves_nothing(subject: Subject) -> None:
    with pytest.raises(errors.VolumeFailed):
        subject.snapshotted(subject.volume())
    assert subject.pool.names() == frozenset()


def test_a_snapshot_in_use_is_made_or_refused_as_the_pool_reports(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshot(volume)
    reported = subject.pool.pools()[0].capabilities["live_snapshot"]
    if reported != "none":
        assert [subject.pool.create_snapshot(snapshot, is_in_use=True) for _ in range(2)] == [reported] * 2
        assert subject.first(subject.created(from_snapshot(snapshot))) == ord("A")
    else:
        with pytest.raises(errors.VolumeFailed, match="in use"):
            subject.pool.create_snapshot(snapshot, is_in_use=True)
        assert subject.pool.names() == {volume.provider_name}


def test_what_was_made_from_a_snapshot_outlives_it_and_its_volume(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    restored = subject.created(from_snapshot(snapshot), size_gb=2)
    subject.pool.delete_snapshot(snapshot)
    subject.pool.delete_snapshot(snapshot)
    subject.pool.delete(volume)
    assert subject.pool.names() == {restored.provider_name}
    assert (subject.first(restored), subject.size_gb(restored)) == (ord("A"), 2)


def test_a_snapshot_outlives_its_volume(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    subject.pool.delete(volume)
    assert subject.first(subject.created(from_snapshot(snapshot))) == ord("A")


def test_a_clone_and_its_source_do_not_change_each_other(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    clone = subject.created(from_volume(volume))
    again = subject.created(from_volume(volume))
    subject.write(clone, "C")
    subject.write(volume, "B")
    assert [subject.first(one) for one in (volume, clone, again)] == [ord("B"), ord("C"), ord("A")]
    subject.pool.delete(volume)
    assert [subject.first(one) for one in (clone, again)] == [ord("C"), ord("A")]


def test_a_clone_of_a_clone_has_its_content(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    clone = subject.created(from_volume(volume))
    second = subject.created(from_volume(clone))
    subject.pool.delete(clone)
    subject.pool.delete(volume)
    assert subject.first(second) == ord("A")


def test_a_revert_brings_back_the_content_and_keeps_the_size(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    subject.write(volume, "B")
    grown = subject.resized(volume, size_gb=2)
    subject.pool.extend(grown, is_in_use=False)
    subject.pool.revert(grown, snapshot)
    assert (subject.first(volume), subject.size_gb(volume)) == (ord("A"), 2)
    subject.write(volume, "C")
    subject.pool.revert(grown, snapshot)
    assert subject.first(volume) == ord("A")


def test_a_revert_to_a_missing_snapshot_is_refused_and_changes_nothing(subject: Subject) -> None:
    volume = subject.created(BLANK)
    subject.write(volume, "A")
    with pytest.raises(errors.VolumeFailed):
        subject.pool.revert(volume, subject.snapshot(volume))
    assert subject.first(volume) == ord("A")


def test_every_one_of_many_snapshots_has_its_own_content(subject: Subject) -> None:
    volume = subject.created(BLANK)
    snapshots = []
    for letter in "ABCDEFGHIJKLMNOPQRST":
        subject.write(volume, letter)
        snapshots.append(subject.snapshotted(volume))
    subject.pool.delete_snapshot(snapshots.pop(3))
    restored = [subject.created(from_snapshot(snapshot)) for snapshot in snapshots[::6]]
    assert [chr(subject.first(one)) for one in restored] == ["A", "H", "N", "T"]


def test_an_image_that_overwrites_a_volume_leaves_its_size_and_snapshots(subject: Subject, tmp_path: Path) -> None:
    volume = subject.created(BLANK, size_gb=2)
    subject.write(volume, "A")
    snapshot = subject.snapshotted(volume)
    subject.write(volume, "B")
    image = tmp_path / "image"
    image.write_bytes(b"I" * 512)
    for _ in range(2):
        subject.pool.overwrite(volume, ImageFile(image, "raw", 512), check=lambda: None)
        assert (subject.first(volume), subject.size_gb(volume)) == (ord("I"), 2)
    assert subject.first(subject.created(from_snapshot(snapshot), size_gb=2)) == ord("A")
    assert subject.pool.names() >= {volume.provider_name, snapshot.provider_name}


def test_a_missing_volume_is_not_overwritten(subject: Subject, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"I" * 512)
    with pytest.raises(errors.VolumeFailed):
        subject.pool.overwrite(subject.volume(), ImageFile(image, "raw", 512), check=lambda: None)
    assert subject.pool.names() == frozenset()


@pytest.mark.parametrize("disk_format", ["raw", "qcow2"])
def test_a_volume_is_read_as_an_image(subject: Subject, disk_format: str) -> None:
    volume = subject.created(BLANK)
    with subject.pool.image_of(volume, disk_format, is_in_use=False, check=lambda: None) as image:
        head = image.read(4)
        image.seek(0)
        again = image.read(4)
    assert head == again == (b"QFI\xfb" if disk_format == "qcow2" else bytes(4))
    assert subject.pool.names() == {volume.provider_name}


def test_a_disk_format_that_is_unknown_is_refused(subject: Subject) -> None:
    volume = subject.created(BLANK)
    with pytest.raises(errors.VolumeFailed, match="floppy"), \
            subject.pool.image_of(volume, "floppy", is_in_use=False, check=lambda: None):
        raise AssertionError("it was read")


def test_an_export_is_the_same_when_it_is_made_again(subject: Subject) -> None:
    volume = subject.created(BLANK)
    export = export_of(volume)
    connection = subject.exports.export(export)
    assert connection == subject.exports.export(export)
    assert isinstance(connection["driver_volume_type"], str)
    assert isinstance(connection["data"], dict)
    subject.exports.unexport(export)
    subject.exports.unexport(export)


def test_a_missing_volume_is_not_exported(subject: Subject) -> None:
    with pytest.raises(errors.VolumeFailed):
        subject.exports.export(export_of(subject.volume()))


def test_a_pool_reports_what_it_has_and_can(subject: Subject) -> None:
    (report,) = subject.pool.pools()
    assert 0 < report.free_gb <= report.total_gb
    assert report.capabilities.keys() >= {
        "live_snapshot", "multiattach", "online_extend_support", "thin_provisioning_support", "vendor_name", "volume_backend_name"}
    assert subject.exports.reach in ("host", "network")
    assert subject.exports.capabilities["storage_protocol"]


def test_volumes_and_snapshots_are_there_when_the_pool_is_opened_again(subject: Subject) -> None:
    volume = subject.created(BLANK)
    snapshot = subject.snapshotted(volume)
    subject.pool.close()
    subject.pool.open(volumes=[volume], snapshots=[snapshot])
    assert subject.pool.names() == {volume.provider_name, snapshot.provider_name}
    subject.pool.delete(volume)
    assert subject.first(subject.created(from_snapshot(snapshot))) == 0
