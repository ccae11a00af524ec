# SPDX-License-Identifier: Apache-2.0
"""Flavors and images that require hardware which no host has: refused with 400 before a row is written."""

from __future__ import annotations

import pytest

from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.image.images import Image
from tests.support.api import compute_api
from tests.support.api.compute_api import SERVER, Answer, ComputeApi
from tests.support.api.users import PROJECTS

OTHER = "11111111-1111-4111-8111-111111111112"


def request(api: ComputeApi, *, specs: dict[str, str], image: dict[str, str]) -> Answer:
    api.add(
        Image(id=OTHER, owner=PROJECTS["admin"], name="odd", status="active", visibility="public",
              disk_format="qcow2", container_format="bare", size=1000, virtual_size=2000, properties=image),
        Flavor(id="odd", name="odd", vcpus=2, ram_mb=64, root_gb=1, extra_specs=specs))
    return api.post("/servers", {"server": {**SERVER, "flavorRef": "odd", "imageRef": OTHER}})


@pytest.mark.parametrize(("specs", "image", "name"), [
    ({"hw:watchdog_action": "explode"}, {}, "hw:watchdog_action"), ({}, {"hw_disk_bus": "floppy"}, "hw_disk_bus"),
    ({"hw:numa_nodes": "3"}, {}, "hw:numa_nodes"), ({}, {"hw_video_ram": "64"}, "hw_video_ram"),
])
def test_a_refusal_names_the_wrong_extra_spec_or_property(api: ComputeApi, specs: dict[str, str], image: dict[str, str], name: str) -> None:
    refused = request(api, specs=specs, image=image)
    assert refused.status == 400
    assert name in refused.body["badRequest"]["message"]
    assert api.rpc.sent == []


def test_the_root_device_name_follows_the_disk_bus(api: ComputeApi) -> None:
    response = request(api, specs={"hw:cpu_sockets": "2"}, image={"hw_disk_bus": "scsi"})
    assert response.status == 202
    server = api.get(f"/servers/{response.body['server']['id']}", user="admin", version="2.3").body["server"]
    assert server["OS-EXT-SRV-ATTR:root_device_name"] == "/dev/sda"


def test_a_resize_to_unavailable_hardware_is_refused(api: ComputeApi) -> None:
    server_id = compute_api.boot(api)
    compute_api.settle(api, server_id)
    api.add(Flavor(id="odd", name="odd", vcpus=2, ram_mb=64, root_gb=1, extra_specs={"hw:cpu_policy": "mixed"}))
    refused = api.post(f"/servers/{server_id}/action", {"resize": {"flavorRef": "odd"}})
    assert (refused.status, "hw:cpu_policy" in refused.body["badRequest"]["message"]) == (400, True)


@pytest.mark.parametrize(("said", "drive"), [("mandatory", "True"), ("optional", "")])
def test_an_image_can_require_a_config_drive(api: ComputeApi, said: str, drive: str) -> None:
    response = request(api, specs={}, image={"img_config_drive": said})
    assert response.status == 202
    assert api.get(f"/servers/{response.body['server']['id']}").body["server"]["config_drive"] == drive


@pytest.mark.parametrize(("said", "shown"), [("true", "AUTO"), ("False", "MANUAL")])
def test_the_disk_config_defaults_to_the_images(api: ComputeApi, said: str, shown: str) -> None:
    response = request(api, specs={}, image={"auto_disk_config": said})
    assert response.body["server"]["OS-DCF:diskConfig"] == shown
    assert api.get(f"/images/{OTHER}").body["image"]["OS-DCF:diskConfig"] == shown
