# SPDX-License-Identifier: Apache-2.0
"""Backups of volumes through conductor and worker: of snapshots, in chains, into volumes that are there, and those that fail."""

from __future__ import annotations

from pathlib import Path

from nova_lite.db.compute import actions
from nova_lite.db.volume import backups, snapshots, volumes
from nova_lite.lifecycle.volumes import BackupStatus, SnapshotStatus
from nova_lite.payloads import volumes as payloads
from tests.support.flows import volume_scenarios
from tests.support.flows.backup_scenarios import begun, claim, content, made, pool, row, set_status, stored
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.volume_scenarios import begin, volume


def _write(cloud: OneProcess, volume_id: str, letter: bytes) -> None:
    pool(cloud).write(volume(cloud, volume_id).provider_name, letter * 512)


def _volume_of(cloud: OneProcess, backup_id: str) -> str:
    backup = row(cloud, backup_id)
    assert backup is not None
    return backup.volume_id


def _restore_into(cloud: OneProcess, backup_id: str, volume_id: str) -> int:
    set_status(cloud, backup_id, BackupStatus.RESTORING)
    with cloud.database.writer() as session:
        volumes.begin(session, volumes.get(session, volume_id), "restore_volume")
    return begin(cloud, ("backup", backup_id), "restore_volume_backup", volume_id=volume_id)


def _status(cloud: OneProcess, backup_id: str) -> str | None:
    backup = row(cloud, backup_id)
    return None if backup is None else backup.status


def test_a_volume_that_is_there_gets_the_backups_content(cloud: OneProcess) -> None:
    backup_id = made(cloud)
    volume_id = _volume_of(cloud, backup_id)
    _write(cloud, volume_id, b"B")
    cloud.run(_restore_into(cloud, backup_id, volume_id))
    after = volume(cloud, volume_id)
    assert (content(cloud, volume_id), after.status, after.bootable, after.image_metadata) == (b"A" * 512, "available", True, {"os": "x"})
    assert _status(cloud, backup_id) == "available"


def test_a_damaged_backup_leaves_the_content_and_shows_that_the_restore_failed(cloud: OneProcess) -> None:
    backup_id = made(cloud)
    volume_id = _volume_of(cloud, backup_id)
    _write(cloud, volume_id, b"B")
    for name in stored(cloud):
        Path(cloud.conf.state_path, "backups", name).write_bytes(b"garbage")
    action_id = _restore_into(cloud, backup_id, volume_id)
    cloud.run(action_id)
    assert (content(cloud, volume_id), volume(cloud, volume_id).status, _status(cloud, backup_id)) == (b"B" * 512, "error_restoring", "available")
    assert cloud.action(action_id).state == actions.FAILED


def test_an_incremental_backup_is_restored_from_its_whole_chain(cloud: OneProcess) -> None:
    full_id = made(cloud)
    volume_id = _volume_of(cloud, full_id)
    claim(cloud, volume_id)
    more_id, action_id = begun(cloud, volume_id, parent_id=full_id)
    cloud.run(action_id)
    backup = row(cloud, more_id)
    assert backup is not None
    assert (backup.status, backup.object_count) == ("available", 0)
    _write(cloud, volume_id, b"B")
    cloud.run(_restore_into(cloud, more_id, volume_id))
    assert content(cloud, volume_id) == b"A" * 512


def test_a_backup_of_a_snapshot_leaves_the_volume_alone(cloud: OneProcess) -> None:
    volume_id = volume_scenarios.made(cloud)
    _write(cloud, volume_id, b"A")
    snapshot_id, action_id = volume_scenarios.begin_snapshot(cloud, volume_id)
    cloud.run(action_id)
    _write(cloud, volume_id, b"B")
    with cloud.database.writer() as session:
        snapshots.set_status(session, snapshot_id, SnapshotStatus.BACKING_UP, among=["available"])
    backup_id, action_id = begun(cloud, volume_id, snapshot_id=snapshot_id)
    cloud.run(action_id)
    snapshot = volume_scenarios.snapshot(cloud, snapshot_id)
    assert snapshot is not None
    assert (_status(cloud, backup_id), snapshot.status, volume(cloud, volume_id).status) == ("available", "available", "available")
    cloud.run(_restore_into(cloud, backup_id, volume_id))
    assert content(cloud, volume_id) == b"A" * 512


def test_a_parent_that_its_worker_does_not_have_is_the_reason_that_a_backup_shows(cloud: OneProcess) -> None:
    volume_id = volume_scenarios.made(cloud)
    claim(cloud, volume_id)
    parent_id = "cccccccc-0000-4000-8000-000000000001"
    backup_id, action_id = begun(cloud, volume_id, parent_id=parent_id)
    cloud.run(action_id)
    backup = row(cloud, backup_id)
    assert backup is not None
    assert (backup.status, f"there is no backup {parent_id}" in str(backup.fail_reason)) == ("error", True)
    assert (volume(cloud, volume_id).status, stored(cloud)) == ("available", [])


def test_a_backup_outlives_its_volume_and_is_deleted_without_it(cloud: OneProcess) -> None:
    backup_id = made(cloud)
    cloud.run(volume_scenarios.begin_on(cloud, _volume_of(cloud, backup_id), "delete_volume"))
    assert len(stored(cloud)) == 2
    set_status(cloud, backup_id, BackupStatus.DELETING)
    cloud.run(begin(cloud, ("backup", backup_id), "delete_volume_backup"))
    assert (row(cloud, backup_id), stored(cloud)) == (None, [])


def test_a_deletion_by_force_gives_the_volume_back(cloud: OneProcess) -> None:
    volume_id = volume_scenarios.made(cloud)
    claim(cloud, volume_id)
    backup_id, action_id = begun(cloud, volume_id)
    with cloud.database.writer() as session:
        actions.cancel_open(session, server_id=backup_id, before=None, reason="The resource is deleted by force.")
    set_status(cloud, backup_id, BackupStatus.DELETING)
    cloud.run(begin(cloud, ("backup", backup_id), "delete_volume_backup"))
    cloud.run(action_id)
    assert (row(cloud, backup_id), volume(cloud, volume_id).status, stored(cloud)) == (None, "available", [])


def test_a_deletion_by_force_leaves_no_snapshot_of_a_volume_in_use(cloud: OneProcess) -> None:
    volume_id = volume_scenarios.attached(cloud)[2]
    claim(cloud, volume_id)
    backup_id, action_id = begun(cloud, volume_id)
    with cloud.database.writer() as session:
        backup, of = backups.get(session, backup_id), volumes.get(session, volume_id)
        backup.host = "node"
        snapshot = payloads.frozen(session, backup, of)
        actions.cancel_open(session, server_id=backup_id, before=None, reason="The resource is deleted by force.")
    cloud.services.volume("node").create_snapshot(CTXT, snapshot=snapshot, order=cloud.order(action_id))
    assert snapshot.provider_name in pool(cloud).names()
    set_status(cloud, backup_id, BackupStatus.DELETING)
    cloud.run(begin(cloud, ("backup", backup_id), "delete_volume_backup"))
    assert (row(cloud, backup_id), volume(cloud, volume_id).status) == (None, "in-use")
    assert pool(cloud).names() == {volume(cloud, volume_id).provider_name}


def test_the_end_of_one_backup_does_not_free_a_volume_that_another_is_made_of(cloud: OneProcess) -> None:
    first_id = made(cloud)
    volume_id = _volume_of(cloud, first_id)
    claim(cloud, volume_id)
    begun(cloud, volume_id)
    set_status(cloud, first_id, BackupStatus.DELETING)
    cloud.run(begin(cloud, ("backup", first_id), "delete_volume_backup"))
    assert (row(cloud, first_id), volume(cloud, volume_id).status) == (None, "backing-up")
