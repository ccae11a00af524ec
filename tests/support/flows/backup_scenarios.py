# SPDX-License-Identifier: Apache-2.0
"""For each workflow of backups of volumes: its start, its end, and what is to be seen after it was undone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from nova_lite.db.base import new_id, utcnow
from nova_lite.db.volume import backups, volumes
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.lifecycle.volumes import BackupStatus
from nova_lite.payloads import volumes as payloads
from nova_lite.volume.fake import FakePool
from tests.support.flows import volume_scenarios
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.volume_scenarios import begin, claimed, names, volume

_CONTENT = b"A" * 512
_SIZE_GB = 2


def pool(cloud: OneProcess) -> FakePool:
    return cast(FakePool, cloud.volume_worker.backends.get("local", action="look").pool)


def content(cloud: OneProcess, volume_id: str) -> bytes:
    """The first bytes of the volume."""
    with pool(cloud).image_of(_payload(cloud, volume_id), "raw", is_in_use=False, check=lambda: None) as stream:
        return stream.read()


def _payload(cloud: OneProcess, volume_id: str) -> Any:
    with cloud.database.reader() as session:
        return payloads.volume(session, volumes.get(session, volume_id))


def stored(cloud: OneProcess) -> list[str]:
    """Files of the store of backups."""
    root = Path(cloud.conf.state_path) / "backups"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def begun(cloud: OneProcess, volume_id: str, **columns: Any) -> tuple[str, int]:
    """A backup of the volume, which has been claimed for it, as the API writes it; (its id, action id)."""
    backup_id = new_id()
    with cloud.database.writer() as session:
        session.add(VolumeBackup(**{
            "id": backup_id, "volume_id": volume_id, "project_id": CTXT.project_id, "user_id": CTXT.user_id, "size_gb": _SIZE_GB,
            "data_timestamp": utcnow(), "of_volume": {"bootable": True, "image_metadata": {"os": "x"}}, **columns}))
    return backup_id, begin(cloud, ("backup", backup_id), "create_volume_backup")


def claim(cloud: OneProcess, volume_id: str) -> None:
    with cloud.database.writer() as session:
        volumes.begin(session, volumes.get(session, volume_id), "backup_volume")


def row(cloud: OneProcess, backup_id: str) -> VolumeBackup | None:
    with cloud.database.reader() as session:
        return session.get(VolumeBackup, backup_id)


def create(cloud: OneProcess) -> tuple[str, int]:
    """Of a volume in use by a server's guest."""
    volume_id = volume_scenarios.attached(cloud)[2]
    pool(cloud).write(volume(cloud, volume_id).provider_name, _CONTENT)
    claim(cloud, volume_id)
    return begun(cloud, volume_id)


def is_made(cloud: OneProcess, backup_id: str) -> bool:
    backup = row(cloud, backup_id)
    assert backup is not None
    of = volume(cloud, backup.volume_id)
    return ((backup.status, backup.object_count, backup.host, backup.fail_reason, of.status) == ("available", 1, "node", None, "in-use")
            and names(cloud) == {of.provider_name} and len(stored(cloud)) == 2 and of.id in cloud.driver.volumes.switched)


def is_not_made(cloud: OneProcess, backup_id: str, reason: str) -> bool:
    backup = row(cloud, backup_id)
    assert backup is not None
    of = volume(cloud, backup.volume_id)
    return ((backup.status, of.status, stored(cloud)) == ("error", "in-use", []) and reason in str(backup.fail_reason)
            and names(cloud) == {of.provider_name})


def made(cloud: OneProcess) -> str:
    """A backup of an available volume."""
    volume_id = volume_scenarios.made(cloud)
    pool(cloud).write(volume(cloud, volume_id).provider_name, _CONTENT)
    claim(cloud, volume_id)
    backup_id, action_id = begun(cloud, volume_id)
    cloud.run(action_id)
    backup = row(cloud, backup_id)
    assert backup is not None
    assert (backup.status, volume(cloud, volume_id).status) == ("available", "available")
    return backup_id


def set_status(cloud: OneProcess, backup_id: str, status: BackupStatus) -> None:
    with cloud.database.writer() as session:
        assert backups.set_status(session, backups.get(session, backup_id), status, among=tuple(BackupStatus))


def delete(cloud: OneProcess) -> tuple[str, int]:
    """Of one whose creation did not end."""
    backup_id = made(cloud)
    with cloud.database.writer() as session:
        backups.get(session, backup_id).details = {}
    set_status(cloud, backup_id, BackupStatus.DELETING)
    return backup_id, begin(cloud, ("backup", backup_id), "delete_volume_backup")


def is_gone(cloud: OneProcess, backup_id: str) -> bool:
    return (row(cloud, backup_id), stored(cloud)) == (None, [])


def is_error_deleting(cloud: OneProcess, backup_id: str, reason: str) -> bool:
    backup = row(cloud, backup_id)
    return backup is not None and backup.status == "error_deleting" and reason in str(backup.fail_reason)


def restore(cloud: OneProcess) -> tuple[str, int]:
    """Into a new volume."""
    backup_id = made(cloud)
    set_status(cloud, backup_id, BackupStatus.RESTORING)
    volume_id = volume_scenarios.add_volume(cloud)
    return backup_id, begin(cloud, ("backup", backup_id), "restore_volume_backup", volume_id=volume_id)


def _target(cloud: OneProcess, backup_id: str) -> volumes.Volume:
    with cloud.database.reader() as session:
        backup = backups.get(session, backup_id)
        return session.query(volumes.Volume).filter(volumes.Volume.id != backup.volume_id).one()


def is_restored(cloud: OneProcess, backup_id: str) -> bool:
    backup, target = row(cloud, backup_id), _target(cloud, backup_id)
    assert backup is not None
    return ((backup.status, target.status, claimed(cloud), len(names(cloud))) == ("available", "available", 2 * _SIZE_GB, 2)
            and content(cloud, target.id) == _CONTENT)


def is_not_restored(cloud: OneProcess, backup_id: str, _reason: str) -> bool:
    backup, target = row(cloud, backup_id), _target(cloud, backup_id)
    assert backup is not None
    return (backup.status, target.status, target.host, claimed(cloud), len(names(cloud))) == ("available", "error", None, _SIZE_GB, 1)
