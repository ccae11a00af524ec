# SPDX-License-Identifier: Apache-2.0
"""Scenarios of shelve, offload and unshelve: rows, host, ports and the snapshot agree at their ends."""

from __future__ import annotations

from nova_lite.db.compute import server_images, servers, shelving
from nova_lite.db.image import images
from nova_lite.lifecycle.servers import Power
from tests.support.flows import volume_scenarios
from tests.support.flows.one_process import CTXT, OneProcess


def active(cloud: OneProcess) -> str:
    """A server that runs."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    return server_id


def request(cloud: OneProcess, server_id: str) -> int:
    """As the Compute API writes it: an image for the snapshot, and the action."""
    with cloud.database.writer() as session:
        server = servers.get(session, server_id)
        image_id = server_images.make(session, server, name="s-shelved", kind=server_images.SNAPSHOT, owner=CTXT.project_id,
                                  user_id=CTXT.user_id, properties={}).id
        shelving.record(session, server_id, image_id=image_id, now=None)
        was = server.vm_state
    return cloud.begin_action(server_id, "shelve", inputs={"image_id": image_id, "was": was})


def shelved(cloud: OneProcess, *, offload_s: int) -> str:
    cloud.conf.set_override("shelved_offload_time", offload_s, group="compute")
    server_id = active(cloud)
    cloud.run(request(cloud, server_id))
    cloud.conf.clear_override("shelved_offload_time", group="compute")
    return server_id


def prepare_shelve(cloud: OneProcess) -> tuple[str, int]:
    server_id = active(cloud)
    return server_id, request(cloud, server_id)


def prepare_offload(cloud: OneProcess) -> tuple[str, int]:
    server_id = shelved(cloud, offload_s=-1)
    assert is_shelved(cloud, server_id)
    return server_id, cloud.begin_action(server_id, "shelve_offload")


def prepare_unshelve(cloud: OneProcess) -> tuple[str, int]:
    """With a volume."""
    cloud.conf.set_override("shelved_offload_time", 0, group="compute")
    server_id, action_id = volume_scenarios.with_volume(cloud)
    cloud.run(action_id)
    cloud.run(request(cloud, server_id))
    cloud.conf.clear_override("shelved_offload_time", group="compute")
    assert is_offloaded(cloud, server_id)
    return server_id, cloud.begin_action(server_id, "unshelve")


def is_shelved(cloud: OneProcess, server_id: str) -> bool:
    """Off, on its host, with a snapshot."""
    server = cloud.server(server_id)
    return ((server.vm_state, server.task_state, server.power_state) == ("shelved", None, Power.SHUTDOWN)
            and cloud.driver.power.state(server_id) is Power.SHUTDOWN and has_snapshot(cloud, server_id))


def is_offloaded(cloud: OneProcess, server_id: str) -> bool:
    """A snapshot and its ports are all that there is."""
    server = cloud.server(server_id)
    return ((server.vm_state, server.task_state, server.host, server.agent) == ("shelved_offloaded", None, None, None)
            and cloud.leftovers(server_id) == {} and has_snapshot(cloud, server_id) and len(cloud.ports(server_id)) == 1
            and volume_scenarios.keeps_its_volumes(cloud, server_id))


def is_back(cloud: OneProcess, server_id: str) -> bool:
    """It runs, with its ports plugged, its room claimed once, and no snapshot any more."""
    server, held = cloud.server(server_id), cloud.leftovers(server_id)
    return ((server.vm_state, server.task_state, server.shelved_image_id) == ("active", None, None)
            and cloud.driver.power.state(server_id) is Power.RUNNING and len(held["claims"]) == 1  # type: ignore[arg-type]
            and len(held["held"]) == 2 and snapshots_of(cloud, server_id) == []  # type: ignore[arg-type]
            and volume_scenarios.has_its_volumes(cloud, server_id))


def is_still_offloaded(cloud: OneProcess, server_id: str, _reason: str) -> bool:
    return is_offloaded(cloud, server_id)


def is_back_without_reason(cloud: OneProcess, server_id: str, _reason: str) -> bool:
    return is_back(cloud, server_id)


def has_snapshot(cloud: OneProcess, server_id: str) -> bool:
    return snapshots_of(cloud, server_id) == ["active"] and cloud.server(server_id).shelved_image_id is not None


def snapshots_of(cloud: OneProcess, server_id: str) -> list[str]:
    """The status of each image that was made of the server and is not deleted."""
    with cloud.database.reader() as session:
        return [image.status for image in session.query(images.Image).filter(images.Image.deleted_at.is_(None))
                if image.properties.get("instance_uuid") == server_id]
