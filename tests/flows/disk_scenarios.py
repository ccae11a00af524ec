# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the actions on a server's disks; see scenarios.py."""

from __future__ import annotations

from nova_lite.db import images, servers, snapshots
from nova_lite.db.images import Image
from tests.flows.one_process import CTXT, OneProcess


def active(cloud: OneProcess) -> str:
    """A server that runs."""
    server_id, action_id = cloud.ask_for_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    return server_id


def ask_for_image(cloud: OneProcess, server_id: str, *, name: str = "snap") -> int:
    """As the compute face writes it: the image's row and the action; the action's id."""
    return cloud.ask_for(server_id, "create_image", inputs={"image_id": _row(cloud, server_id, name, snapshots.SNAPSHOT, {})})


def ask_for_backup(cloud: OneProcess, server_id: str, *, name: str, rotation: int) -> int:
    image_id = _row(cloud, server_id, name, snapshots.BACKUP, {"backup_type": "daily"})
    return cloud.ask_for(server_id, "create_backup", inputs={"image_id": image_id, "backup_type": "daily", "rotation": rotation})


def _row(cloud: OneProcess, server_id: str, name: str, kind: str, properties: dict[str, str]) -> str:
    with cloud.database.writer() as session:
        return snapshots.make(session, servers.get(session, server_id), name=name, kind=kind, owner=CTXT.project_id,
                              user_id=CTXT.user_id, properties=properties).id


def images_of(cloud: OneProcess, server_id: str) -> list[Image]:
    """Images made of the server, oldest first."""
    with cloud.database.reader() as session:
        found = images.page(session, project_id=None, filters=images.Filters(properties={"instance_uuid": server_id}),
                            sort=[("created_at", False)], limit=100)
    return found


def create_image(cloud: OneProcess) -> tuple[str, int]:
    server_id = active(cloud)
    return server_id, ask_for_image(cloud, server_id)


def create_backup(cloud: OneProcess) -> tuple[str, int]:
    """The second of at most one."""
    server_id = active(cloud)
    cloud.run(ask_for_backup(cloud, server_id, name="first", rotation=1))
    return server_id, ask_for_backup(cloud, server_id, name="second", rotation=1)


def _is_at_rest(cloud: OneProcess, server_id: str) -> bool:
    server = cloud.server(server_id)
    return (server.vm_state, server.task_state, server.fault) == ("active", None, None) and cloud.driver.snapshots(server_id) == []


def has_image(cloud: OneProcess, server_id: str) -> bool:
    return _is_at_rest(cloud, server_id) and [(i.name, i.status) for i in images_of(cloud, server_id)] == [("snap", "active")]


def has_no_image(cloud: OneProcess, server_id: str, reason: str) -> bool:
    return _is_at_rest(cloud, server_id) and images_of(cloud, server_id) == []


def has_new_backup(cloud: OneProcess, server_id: str) -> bool:
    return _is_at_rest(cloud, server_id) and [i.name for i in images_of(cloud, server_id)] == ["second"]


def has_old_backup(cloud: OneProcess, server_id: str, reason: str) -> bool:
    return _is_at_rest(cloud, server_id) and [i.name for i in images_of(cloud, server_id)] == ["first"]
