# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the actions on a server's disks; see scenarios.py."""

from __future__ import annotations

from nova_lite.db.compute import server_images, servers
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from tests.support.flows.one_process import CTXT, OneProcess


def active(cloud: OneProcess) -> str:
    """A server that runs."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    return server_id


def begin_create_image(cloud: OneProcess, server_id: str, *, name: str = "snap") -> int:
    """As the Compute API writes it: the image's row and the action; the action's id."""
    return cloud.begin_action(server_id, "create_image", inputs={"image_id": _row(cloud, server_id, name, server_images.SNAPSHOT, {})})


def begin_create_backup(cloud: OneProcess, server_id: str, *, name: str, rotation: int) -> int:
    image_id = _row(cloud, server_id, name, server_images.BACKUP, {"backup_type": "daily"})
    return cloud.begin_action(server_id, "create_backup", inputs={"image_id": image_id, "backup_type": "daily", "rotation": rotation})


def _row(cloud: OneProcess, server_id: str, name: str, kind: str, properties: dict[str, str]) -> str:
    with cloud.database.writer() as session:
        return server_images.make(session, servers.get(session, server_id), name=name, kind=kind, owner=CTXT.project_id,
                              user_id=CTXT.user_id, properties=properties).id


def images_of(cloud: OneProcess, server_id: str) -> list[Image]:
    """Images made of the server, oldest first."""
    with cloud.database.reader() as session:
        found = images.page(session, project_id=None, filters=images.Filters(properties={"instance_uuid": server_id}),
                            sort=[("created_at", False)], limit=100)
    return found


def create_image(cloud: OneProcess) -> tuple[str, int]:
    server_id = active(cloud)
    return server_id, begin_create_image(cloud, server_id)


def create_backup(cloud: OneProcess) -> tuple[str, int]:
    """The second of at most one."""
    server_id = active(cloud)
    cloud.run(begin_create_backup(cloud, server_id, name="first", rotation=1))
    return server_id, begin_create_backup(cloud, server_id, name="second", rotation=1)


def _is_at_rest(cloud: OneProcess, server_id: str) -> bool:
    server = cloud.server(server_id)
    return (server.vm_state, server.task_state, server.fault) == ("active", None, None) and cloud.driver.snapshots.list(server_id) == []


def has_image(cloud: OneProcess, server_id: str) -> bool:
    return _is_at_rest(cloud, server_id) and [(i.name, i.status) for i in images_of(cloud, server_id)] == [("snap", "active")]


def has_no_image(cloud: OneProcess, server_id: str, reason: str) -> bool:
    return _is_at_rest(cloud, server_id) and images_of(cloud, server_id) == []


def has_new_backup(cloud: OneProcess, server_id: str) -> bool:
    return _is_at_rest(cloud, server_id) and [i.name for i in images_of(cloud, server_id)] == ["second"]


def has_old_backup(cloud: OneProcess, server_id: str, reason: str) -> bool:
    return _is_at_rest(cloud, server_id) and [i.name for i in images_of(cloud, server_id)] == ["first"]


def rebuild(cloud: OneProcess) -> tuple[str, int]:
    """From another image, under another name."""
    server_id = active(cloud)
    with cloud.database.writer() as session:
        server = servers.get(session, server_id)
        other = Image(owner=CTXT.project_id, name="other", status="active", disk_format="raw", container_format="bare",
                      size=1, hash_value="1" * 128)
        session.add(other)
        session.flush()
        server.image_id, server.name = other.id, "renamed"
    return server_id, cloud.begin_action(server_id, "rebuild", inputs={"preserve_ephemeral": False, "is_on": True})


def is_rebuilt(cloud: OneProcess, server_id: str) -> bool:
    server, guest = cloud.server(server_id), cloud.driver.guests.find(server_id)
    record = cloud.compute_host.records.get(server_id)
    held = cloud.network_records.servers[server_id]
    assert record is not None
    return ((server.vm_state, server.task_state, server.power_state) == ("active", None, 1)
            and (guest.image.id, guest.display_name) == (server.image_id, "renamed") and record.phase == "built"
            and record.guest.image.id == server.image_id and len(guest.nics) == 1
            and "renamed" in held.documents["openstack/latest/meta_data.json"])


def is_in_error_on_its_host(cloud: OneProcess, server_id: str, reason: str) -> bool:
    server = cloud.server(server_id)
    return ((server.vm_state, server.task_state) == ("error", None) and server.host is not None
            and server.fault is not None and reason in server.fault["message"] and len(cloud.leftovers(server_id)["held"]) == 2)


def rescue(cloud: OneProcess) -> tuple[str, int]:
    server_id = active(cloud)
    return server_id, cloud.begin_action(server_id, "rescue", inputs={"image_id": cloud.image_id})


def unrescue(cloud: OneProcess) -> tuple[str, int]:
    server_id, action_id = rescue(cloud)
    cloud.run(action_id)
    assert is_rescued(cloud, server_id)
    return server_id, cloud.begin_action(server_id, "unrescue")


def is_rescued(cloud: OneProcess, server_id: str) -> bool:
    return _runs_from(cloud, server_id, "rescued", cloud.image_id)


def runs_from_its_own(cloud: OneProcess, server_id: str, reason: str = "") -> bool:
    return _runs_from(cloud, server_id, "active", None)


def _runs_from(cloud: OneProcess, server_id: str, vm_state: str, rescue_id: str | None) -> bool:
    server, record = cloud.server(server_id), cloud.compute_host.records.get(server_id)
    assert record is not None
    seen = [guest.rescue and guest.rescue.id for guest in (cloud.driver.guests.find(server_id), record.guest)]
    return (server.vm_state, server.task_state, server.power_state) == (vm_state, None, 1) and seen == [rescue_id, rescue_id]
