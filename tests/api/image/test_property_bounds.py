# SPDX-License-Identifier: Apache-2.0
"""Numbers and lengths that tenants set in image properties: refused beyond their bounds, when set and when used."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from nova_lite.db.image.images import Image
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, SERVER, ComputeApi
from tests.support.api.image_service import ImageService
from tests.support.api.users import PROJECTS

OUT_OF_BOUNDS = [
    ("hw_numa_nodes", "40000000"), ("hw_numa_nodes", "1000000000000"), ("hw_serial_port_count", "100000000"),
    ("hw_serial_port_count", "5"), ("hw_cpu_sockets", "999999999999"), ("hw_cpu_max_threads", "9" * 60_000),
    ("hw_video_ram", "4000000"), ("os_shutdown_timeout", "999999999"), ("hw_numa_cpus.0", "0-4095," * 9000 + "1"),
    ("hw_numa_mem.0", "9" * 20), ("hw_numa_mem." + "9" * 200, "1"), ("hw_numa_cpus.128", "1"), ("hw_machine_type", "q" * 256),
]


@pytest.mark.parametrize(("name", "value"), OUT_OF_BOUNDS, ids=[f"{name[:30]}={value[:15]}" for name, value in OUT_OF_BOUNDS])
def test_a_number_beyond_its_bound_is_refused_when_it_is_set(service: ImageService, name: str, value: str) -> None:
    answer = service.request("POST", "/images", json={"name": "huge", name: value})
    assert answer.status_int == 400
    assert name in answer.json["error"]["message"]
    image_id = service.create()["id"]
    patched = service.patch(image_id, {"op": "add", "path": f"/{name}", "value": value})
    assert patched.status_int == 400
    assert name in patched.json["error"]["message"]
    assert name not in service.request("GET", f"/images/{image_id}").json


def test_a_value_for_another_cloud_is_kept(service: ImageService) -> None:
    made = service.create(hw_vif_model="lan9118", hw_numa_nodes="two", hw_cpu_max_sockets="65536")
    assert (made["hw_vif_model"], made["hw_numa_nodes"]) == ("lan9118", "two")


@pytest.mark.parametrize(("name", "value"), [
    ("hw_numa_nodes", "40000000"), ("hw_numa_nodes", "2"), ("hw_numa_nodes", "1000000000000"),
    ("hw_serial_port_count", "100000000"), ("hw_cpu_max_cores", "99999999999"), ("hw_mem_page_size", "9" * 5000),
    ("hw_machine_type", "q" * 60_000),
])
@pytest.mark.timed
def test_a_number_that_an_older_release_took_is_refused_by_a_boot(api: ComputeApi, name: str, value: str) -> None:
    api.change(lambda session: session.execute(sa.update(Image).where(Image.id == IMAGE).values(properties={name: value})))
    answer = api.post("/servers", {"server": SERVER})
    assert answer.status == 400
    assert len(compute_api.message(answer)) < 500


def test_a_list_of_cpus_is_bounded(api: ComputeApi) -> None:
    properties = {"hw_numa_nodes": "1", "hw_numa_cpus.0": "0-4095," * 9000 + "1", "hw_numa_mem.0": "64"}
    api.change(lambda session: session.execute(sa.update(Image).where(Image.id == IMAGE).values(properties=properties)))
    assert api.post("/servers", {"server": SERVER}).status == 400


@pytest.mark.parametrize("action", ["createImage", "createBackup"])
def test_metadata_of_a_snapshot_has_the_same_bounds(api: ComputeApi, server_id: str, action: str) -> None:
    more = {"backup_type": "daily", "rotation": 1} if action == "createBackup" else {}
    answer = compute_api.act(api, server_id, action, {"name": "s", "metadata": {"hw_numa_nodes": "99999999"}, **more})
    assert answer.status == 400


def test_properties_set_through_compute_have_the_same_bounds(api: ComputeApi) -> None:
    api.change(lambda session: session.execute(sa.update(Image).values(owner=PROJECTS["alice"])))
    answer = api.post(f"/images/{IMAGE}/metadata", {"metadata": {"hw_serial_port_count": "1000000"}})
    assert answer.status == 400
    assert api.put(f"/images/{IMAGE}/metadata", {"metadata": {"hw_serial_port_count": "1000000"}}).status == 400
    assert api.put(f"/images/{IMAGE}/metadata/hw_numa_nodes", {"meta": {"hw_numa_nodes": "9999"}}).status == 400


def test_a_flavor_of_absurd_size_has_no_topology(api: ComputeApi) -> None:
    flavor = {"name": "big", "vcpus": 2**31 - 1, "ram": 1, "disk": 1, "id": "big"}
    assert api.post("/flavors", {"flavor": flavor}, user="admin").status == 200
    specs = {"extra_specs": {"hw:cpu_policy": "dedicated"}}
    assert api.post("/flavors/big/os-extra_specs", specs, user="admin").status == 200
    assert api.post("/servers", {"server": {**SERVER, "flavorRef": "big"}}).status == 400
