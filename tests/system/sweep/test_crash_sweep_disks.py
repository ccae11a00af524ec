# SPDX-License-Identifier: Apache-2.0
"""Kills the cloud at every step of snapshot, rebuild, rescue and unrescue, on real libvirt: each ends as requested."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator

import pytest

from tests.support.system.all_in_one import AllInOne
from tests.support.system.crash_points import points
from tests.support.system.own_host import cloud_of_real_guests
from tests.system.real.test_disk_actions import act, network, wait_for_rest  # noqa: F401 - a fixture

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")

IMAGE_POINTS = points("create_image", "snapshot.take.before", "snapshot.take.after", "snapshot.upload.before",
                      "image.chunk.after", "image.activate.before", "snapshot.upload.after", "snapshot.discard.before")
REBUILD_POINTS = points("rebuild", *(f"rebuild.{step}.before" for step in (
    "fetch_image", "destroy", "clear_disks", "make_disks", "start", "finish")))
RESCUE_POINTS = points("rescue", *(f"rescue.{step}.before" for step in ("fetch_image", "record", "make_disks", "start")))
UNRESCUE_POINTS = points("unrescue", *(f"unrescue.{step}.before" for step in ("start", "record", "remove_disk")))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    # What runs in the blank server does not hear the power button.
    with cloud_of_real_guests(tmp_path_factory.mktemp("disks"), options="[conductor]\nreconcile_interval = 1\n[compute]\nshutdown_timeout = 2\n") as made:
        yield made


@pytest.fixture(scope="module")
def blank(cloud: AllInOne, network: str, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: F811
    """A server of eight MiB of nothing: the domain starts, and what runs in it does not matter."""
    path = tmp_path_factory.mktemp("image") / "blank"
    path.write_bytes(b"\0" * 2**23)
    server_id = cloud.boot("blank", image=cloud.make_image(path, "raw"), network=network)
    cloud.wait_for_status(server_id, "ACTIVE")
    return server_id


def crash_at(cloud: AllInOne, point: str, server_id: str, word: str, value: object = None) -> None:
    cloud.crash_at(point, "POST", f"/v2.1/servers/{server_id}/action", {word: value})


def half_made(cloud: AllInOne) -> dict[str, object]:
    """What no action that has ended may leave behind."""
    with sqlite3.connect(f"file:{cloud.state}/nova-lite.sqlite?mode=ro", uri=True) as rows:
        unfinished = rows.execute(
            "SELECT count(*) FROM images WHERE deleted_at IS NULL AND status IN ('queued', 'saving')").fetchone()[0]
    files = [path.name for path in (cloud.state / "instances").glob("*/*") if path.name.startswith("snapshot.") or path.suffix == ".part"]
    return {name: value for name, value in {"images": unfinished, "files": files}.items() if value}


@pytest.mark.parametrize("point", IMAGE_POINTS)
def test_a_snapshot_that_is_killed_is_whole_or_gone(cloud: AllInOne, blank: str, point: str) -> None:
    crash_at(cloud, point, blank, "createImage", {"name": point})
    wait_for_rest(cloud, blank, "ACTIVE")
    left = cloud.request("GET", f"/image/v2/images?name={point}")["images"]
    assert [image["status"] for image in left] in ([], ["active"])
    assert half_made(cloud) == {}


@pytest.mark.parametrize("point", REBUILD_POINTS)
def test_a_rebuild_that_is_killed_ends_active(cloud: AllInOne, blank: str, point: str) -> None:
    image_id = cloud.request("GET", f"/v2.1/servers/{blank}")["server"]["image"]["id"]
    crash_at(cloud, point, blank, "rebuild", {"imageRef": image_id})
    wait_for_rest(cloud, blank, "ACTIVE")
    assert half_made(cloud) == {}


@pytest.mark.parametrize("point", RESCUE_POINTS)
def test_a_rescue_that_is_killed_ends_rescued(cloud: AllInOne, blank: str, point: str) -> None:
    crash_at(cloud, point, blank, "rescue")
    wait_for_rest(cloud, blank, "RESCUE")
    act(cloud, blank, "unrescue")
    wait_for_rest(cloud, blank, "ACTIVE")


@pytest.mark.parametrize("point", UNRESCUE_POINTS)
def test_an_unrescue_that_is_killed_ends_active(cloud: AllInOne, blank: str, point: str) -> None:
    act(cloud, blank, "rescue")
    wait_for_rest(cloud, blank, "RESCUE")
    crash_at(cloud, point, blank, "unrescue")
    wait_for_rest(cloud, blank, "ACTIVE")
    assert not list((cloud.state / "instances" / blank).glob("disk.rescue"))
