# SPDX-License-Identifier: Apache-2.0
"""Operations of a volume worker: in the order of the requests, each once, with one report, whatever becomes of it."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.rpc.conductor import Outcome
from nova_lite.rpc.volume import Content, ContentSource, OwnedVolumes
from nova_lite.runtime import failpoints
from nova_lite.worker.orders import Duplicate
from tests.support.wait import wait_until
from tests.unit.volume.conftest import EXPORT, SNAPSHOT, UPLOAD, VOLUME, Parts, another_volume, at, image, make_parts

OWNED_NOTHING = OwnedVolumes()


def test_a_volume_is_made_and_reported(parts: Parts) -> None:
    parts.create()
    assert parts.pool.names() == {VOLUME.provider_name}
    assert (parts.last.resource_type, parts.last.resource_id, parts.last.host) == ("volume", VOLUME.volume_id, "node1")
    assert (parts.last.outcome, parts.last.order) == (Outcome.DONE, at(1))


def test_a_request_that_comes_again_is_reported_again_with_its_result_and_not_done(parts: Parts) -> None:
    parts.create(content=Content(source=ContentSource.IMAGE, id="i", image=image(size=1024)))
    parts.pool.write(VOLUME.provider_name, b"A")
    with pytest.raises(Duplicate):
        parts.create(content=Content(source=ContentSource.IMAGE, id="i", image=image(size=1024)))
    assert [report.result for report in parts.listener.reports] == [{"virtual_size": 1024}] * 2
    assert [report.outcome for report in parts.listener.reports] == [Outcome.DONE] * 2


def test_a_second_attempt_finds_what_the_first_made(parts: Parts) -> None:
    content = Content(source=ContentSource.IMAGE, id="i", image=image(size=1024))
    parts.create(1, content=content)
    parts.create(2, content=content)
    assert parts.last.result == {"virtual_size": 1024}


def test_a_late_older_request_is_stale(parts: Parts) -> None:
    parts.create()
    parts.volumes.extend_volume(parts.ctxt, volume=dataclasses.replace(VOLUME, size_gb=3), order=at(5))
    parts.volumes.extend_volume(parts.ctxt, volume=dataclasses.replace(VOLUME, size_gb=4), order=at(4))
    assert (parts.last.outcome, parts.last.known) == (Outcome.STALE, at(5))
    assert parts.pool.size_gb(VOLUME.provider_name) == 3


def test_a_volume_is_not_made_by_a_request_older_than_its_removal(parts: Parts) -> None:
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(2), snapshots=())
    parts.create(1)
    assert (parts.last.outcome, parts.last.known) == (Outcome.STALE, at(2))
    assert parts.pool.names() == frozenset()
    assert parts.records.owned() == OWNED_NOTHING


def test_an_older_removal_is_stale(parts: Parts) -> None:
    parts.create(3)
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(2), snapshots=())
    assert parts.last.outcome is Outcome.STALE
    assert parts.pool.names() == {VOLUME.provider_name}


def test_a_removal_that_comes_again_is_reported_again(parts: Parts) -> None:
    parts.create()
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(2), snapshots=())
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(2), snapshots=())
    assert parts.listener.outcomes[1:] == [(VOLUME.volume_id, 2, Outcome.DONE)] * 2
    assert parts.records.owned() == OWNED_NOTHING


def test_a_failure_is_reported_with_its_reason_and_leaves_nothing(parts: Parts) -> None:
    gone = another_volume()
    parts.create(content=Content(source=ContentSource.VOLUME, id=gone.volume_id, provider_name=gone.provider_name, size_gb=1))
    assert parts.last.outcome is Outcome.FAILED
    assert gone.provider_name in parts.last.reason
    assert parts.records.owned() == OWNED_NOTHING


def test_an_error_of_the_worker_itself_is_reported_without_its_text(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_how: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(parts.pool, "create", broken)
    parts.create()
    assert parts.last.outcome is Outcome.FAILED
    assert "volume worker" in parts.last.reason
    assert "secret" not in parts.last.reason


def test_a_volume_smaller_than_its_source_is_refused(parts: Parts) -> None:
    parts.create()
    content = Content(source=ContentSource.VOLUME, id=VOLUME.volume_id, provider_name=VOLUME.provider_name, size_gb=2)
    parts.create(volume=another_volume(), content=content)
    assert "1 GiB are less than the 2 GiB" in parts.last.reason


def test_an_unknown_backend_is_refused(parts: Parts) -> None:
    parts.create(volume=dataclasses.replace(VOLUME, backend="lvm"))
    assert (parts.last.outcome, "no backend lvm" in parts.last.reason) == (Outcome.FAILED, True)


def test_an_extend_says_who_shows_it_to_the_guest(parts: Parts) -> None:
    parts.create()
    parts.volumes.extend_volume(parts.ctxt, volume=dataclasses.replace(VOLUME, size_gb=2), order=at(2))
    assert parts.last.result == {"resized_by": "storage"}
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(3))
    parts.volumes.extend_volume(parts.ctxt, volume=dataclasses.replace(VOLUME, size_gb=3), order=at(4))
    assert parts.last.result == {"resized_by": "hypervisor"}


def test_an_export_is_reported_with_its_connection(parts: Parts) -> None:
    parts.create()
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(2))
    assert parts.last.resource_type == "attachment"
    assert parts.last.result["connection_info"]["driver_volume_type"] == "fake"


def test_a_volume_that_its_guest_did_not_grow_is_grown_for_the_next(parts: Parts) -> None:
    parts.create()
    grown = dataclasses.replace(EXPORT, volume=dataclasses.replace(VOLUME, size_gb=3))
    parts.exports.export_volume(parts.ctxt, export=grown, order=at(2))
    assert parts.pool.size_gb(VOLUME.provider_name) == 3


def test_an_exported_volume_is_neither_removed_nor_reverted(parts: Parts) -> None:
    parts.create()
    parts.snapshots.create_snapshot(parts.ctxt, snapshot=SNAPSHOT, order=at(2))
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(3))
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(4), snapshots=())
    assert EXPORT.attachment_id in parts.last.reason
    parts.volumes.revert_volume(parts.ctxt, volume=VOLUME, order=at(5), snapshot=SNAPSHOT)
    assert "in use" in parts.last.reason
    assert VOLUME.provider_name in parts.pool.names()


def test_a_volume_whose_export_has_ended_is_removed(parts: Parts) -> None:
    parts.create()
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(2))
    parts.exports.unexport_volume(parts.ctxt, export=EXPORT, order=at(3))
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(4), snapshots=())
    assert parts.last.outcome is Outcome.DONE
    assert parts.pool.names() == frozenset()


def test_a_volume_is_removed_with_its_snapshots(parts: Parts) -> None:
    parts.create()
    parts.snapshots.create_snapshot(parts.ctxt, snapshot=SNAPSHOT, order=at(2))
    parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(3), snapshots=(SNAPSHOT,))
    assert parts.last.outcome is Outcome.DONE
    assert (parts.pool.names(), parts.records.owned()) == (frozenset(), OWNED_NOTHING)
    parts.snapshots.create_snapshot(parts.ctxt, snapshot=SNAPSHOT, order=at(2))
    assert parts.listener.outcomes[-1] == (SNAPSHOT.snapshot_id, 2, Outcome.STALE)


def test_what_a_worker_has_is_compared_by_digest(parts: Parts) -> None:
    parts.create()
    parts.snapshots.create_snapshot(parts.ctxt, snapshot=SNAPSHOT, order=at(2))
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(3))
    expected = OwnedVolumes(
        volume_ids=(VOLUME.volume_id,), snapshot_ids=(SNAPSHOT.snapshot_id,), attachment_ids=(EXPORT.attachment_id,))
    assert parts.inventory.owned_unless(parts.ctxt, digest="") == expected
    assert parts.inventory.owned_unless(parts.ctxt, digest=expected.digest) == OwnedVolumes(is_as_expected=True)


def test_an_upload_ends_when_its_volume_is_removed(parts: Parts) -> None:
    parts.create()
    removal = threading.Thread(target=lambda: parts.volumes.delete_volume(parts.ctxt, volume=VOLUME, order=at(3), snapshots=()))

    def remove_meanwhile() -> None:
        removal.start()
        wait_until(lambda: parts.records.tombstone(VOLUME.volume_id) == at(3))

    parts.meanwhile.append(remove_meanwhile)
    parts.uploads.upload_volume(parts.ctxt, volume=VOLUME, order=at(2), image=UPLOAD, disk_format="raw")
    removal.join()
    assert sorted(parts.listener.outcomes)[1:] == [
        (VOLUME.volume_id, 2, Outcome.STALE), (VOLUME.volume_id, 3, Outcome.DONE)]
    assert parts.pool.names() == frozenset()


def test_a_request_is_known_while_it_is_under_way(parts: Parts) -> None:
    parts.create()
    known: list[object] = []
    parts.meanwhile.append(lambda: known.append(parts.inventory.known_orders(parts.ctxt, orders=(at(1), at(2)))))
    parts.uploads.upload_volume(parts.ctxt, volume=VOLUME, order=at(2), image=UPLOAD, disk_format="raw")
    assert known == [(at(2),)]
    assert parts.inventory.known_orders(parts.ctxt, orders=(at(2),)) == ()


def test_no_token_is_written_to_a_record(parts: Parts, tmp_path: Path) -> None:
    parts.create(content=Content(source=ContentSource.IMAGE, id="i", image=image()))
    written = [path.read_text() for path in tmp_path.rglob("*.json")]
    assert written
    assert not [text for text in written if "the-image-token" in text]


@pytest.mark.parametrize("point", ["volume.create.record", "volume.create.make", "volume.create.made"])
def test_a_create_that_fails_anywhere_leaves_no_record(parts: Parts, point: str) -> None:
    failpoints.arm(f"{point}=error")
    try:
        parts.create()
    finally:
        failpoints.arm("")
    assert parts.last.outcome is Outcome.FAILED
    assert parts.records.owned() == OWNED_NOTHING
    assert parts.pool.names() == frozenset()


def test_a_worker_that_was_killed_knows_what_it_has(parts: Parts, tmp_path: Path) -> None:
    parts.create()
    parts.exports.export_volume(parts.ctxt, export=EXPORT, order=at(2))
    again = make_parts(tmp_path / "state")
    assert again.records.owned() == parts.records.owned()
    assert again.pool.names() == {VOLUME.provider_name}
    with pytest.raises(Duplicate):
        again.create()
    assert again.last.outcome is Outcome.DONE


def test_what_a_crash_left_half_made_is_removed_at_the_start(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.records, "remove", lambda *_: None)  # the process dies before these
    monkeypatch.setattr(parts.pool, "delete", lambda *_: None)
    failpoints.arm("volume.create.made=error")
    try:
        parts.create()
    finally:
        failpoints.arm("")
    monkeypatch.undo()
    assert parts.pool.names() == {VOLUME.provider_name}
    again = make_parts(tmp_path / "state", pool=parts.pool)
    assert again.pool.names() == frozenset()
    assert again.records.owned() == OWNED_NOTHING
    again.create()
    assert again.last.outcome is Outcome.DONE


def test_a_backend_that_becomes_unusable_is_left_out_of_reports(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(parts.pool, "pools", broken)
        assert parts.backends.pools() == ()
        parts.create(1)
        assert "Input/output error" in parts.last.reason
    assert [pool.backend for pool in parts.backends.pools()] == ["local"]


def test_a_backend_that_cannot_be_used_is_left_out_and_tried_again(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_how: object) -> None:
        raise errors.VolumeFailed(host="node1", action="open the pool", reason="no such directory")

    parts.backends.close()
    with monkeypatch.context() as broken_for_now:
        broken_for_now.setattr(parts.pool, "open", broken)
        assert parts.backends.pools() == ()
        parts.create(1)
        assert "no such directory" in parts.last.reason
    assert [pool.backend for pool in parts.backends.pools()] == ["local"]
    parts.create(2)
    assert parts.last.outcome is Outcome.DONE
