# SPDX-License-Identifier: Apache-2.0
"""Images and rebuilds when something gets in between: a delete, a worker that dies, an image that goes."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.engine import engine
from nova_lite.conductor.reconcilers.stalled_actions import GRACE_S, StalledActions
from nova_lite.db.compute import server_images
from nova_lite.db.compute.actions import Action
from nova_lite.db.hosts import hosts
from nova_lite.db.image.images import Image
from tests.support.flows.disk_scenarios import (
    active,
    begin_create_backup,
    begin_create_image,
    create_image,
    images_of,
    is_rebuilt,
    rebuild,
)
from tests.support.flows.one_process import OneProcess


def action(cloud: OneProcess, action_id: int) -> Action:
    with cloud.database.reader() as session:
        return session.get_one(Action, action_id)


@pytest.mark.parametrize("at", ["before", "after"])
def test_a_delete_wins_over_a_snapshot_and_leaves_no_half_image(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    server_id, action_id = create_image(cloud)

    def delete_meanwhile(name: str) -> None:
        if name == f"create_image.compute_snapshot_instance.{at}":
            monkeypatch.undo()
            cloud.engine.take_up(cloud.begin_delete(server_id))

    monkeypatch.setattr(engine, "fail", delete_meanwhile)
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "deleted"
    assert (action(cloud, action_id).state, images_of(cloud, server_id)) == ("cancelled", [])
    assert cloud.leftovers(server_id) == {}


def test_an_image_that_is_deleted_meanwhile_ends_the_action_only(cloud: OneProcess) -> None:
    server_id, action_id = create_image(cloud)
    with cloud.database.writer() as session:
        server_images.discard(session, [action(cloud, action_id).inputs["image_id"]])
    cloud.run(action_id)
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state, action(cloud, action_id).state) == ("active", None, "failed")
    assert cloud.driver.snapshots.list(server_id) == []


def test_a_protected_backup_is_not_rotated(cloud: OneProcess) -> None:
    server_id = active(cloud)
    for name in ("one", "two", "three"):
        cloud.run(begin_create_backup(cloud, server_id, name=name, rotation=1))
        if name == "one":
            with cloud.database.writer() as session:
                session.execute(sa.update(Image).where(Image.name == "one").values(protected=True))
    assert [image.name for image in images_of(cloud, server_id)] == ["one", "three"]


def test_a_backup_of_which_none_is_kept_is_gone(cloud: OneProcess) -> None:
    server_id = active(cloud)
    cloud.run(begin_create_image(cloud, server_id))
    cloud.run(begin_create_backup(cloud, server_id, name="none", rotation=0))
    assert [image.name for image in images_of(cloud, server_id)] == ["snap"]


def break_once(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker dies in the middle of its next start of a guest, and is back for the one after."""
    working = cloud.driver.power.start

    def start(guest: Any) -> None:
        monkeypatch.setattr(cloud.driver.power, "start", working)
        raise errors.ServiceDown(service="nova-compute", host="node", reason="it died")

    monkeypatch.setattr(cloud.driver.power, "start", start)


def test_a_rebuild_waits_for_a_worker_that_has_just_died(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, action_id = rebuild(cloud)
    break_once(cloud, monkeypatch)
    cloud.run(action_id)
    assert (cloud.server(server_id).task_state, action(cloud, action_id).state) == ("rebuild_spawning", "running")
    cloud.restart_conductor()
    cloud.go_on(action_id)
    assert is_rebuilt(cloud, server_id)


def test_a_rebuild_does_not_wait_for_a_worker_that_is_down(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    server_id, action_id = rebuild(cloud)
    break_once(cloud, monkeypatch)
    with cloud.database.writer() as session:
        session.execute(sa.update(hosts.Service).where(hosts.Service.binary == "nova-compute").values(forced_down=True))
    cloud.run(action_id)
    cloud.advance(seconds=GRACE_S + 1)
    StalledActions(cloud.services, cloud.engine).look()
    server = cloud.server(server_id)
    assert (server.vm_state, server.task_state, action(cloud, action_id).state) == ("error", None, "failed")
    assert server.fault is not None
    assert "it died" in server.fault["message"]
