# SPDX-License-Identifier: Apache-2.0
"""What the microversions after 2.96 promise, as requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, settle

SHARE = "66666666-6666-4666-8666-666666666666"


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"))
    return made


def test_no_server_has_shares_and_none_can_be_attached(api: ComputeApi) -> None:
    server_id = boot(api)
    settle(api, server_id)
    path, body = f"/servers/{server_id}/shares", {"share": {"share_id": SHARE, "tag": "data"}}
    assert api.get(path, version="2.97").body == {"shares": []}
    assert api.post(path, body, version="2.97").status == 409
    settle(api, server_id, vm_state="stopped")
    refused = api.post(path, body, version="2.97")
    assert (refused.status, "no shared file systems" in refused.body["itemNotFound"]["message"]) == (404, True)
    assert [api.get(f"{path}/{SHARE}", version="2.97").status, api.delete(f"{path}/{SHARE}", version="2.97").status,
            api.get(path, version="2.96").status, api.get(path, version="2.97", user="bob").status,
            api.post(path, {"share": {}}, version="2.97").status] == [404, 404, 404, 404, 400]


def test_servers_show_their_images_properties(api: ComputeApi) -> None:
    path = f"/servers/{boot(api)}"
    assert "properties" not in api.get(path, version="2.97").body["server"]["image"]
    assert api.get(path, version="2.98").body["server"]["image"]["properties"] == {"os": "linux"}
    assert api.get("/servers/detail", version="2.98").body["servers"][0]["image"]["properties"] == {"os": "linux"}


def test_servers_show_their_scheduler_hints(api: ComputeApi) -> None:
    other = boot(api)
    body = {"server": compute_api.SERVER, "os:scheduler_hints": {"different_host": other}}
    path = f"/servers/{api.post('/servers', body).body['server']['id']}"
    assert "scheduler_hints" not in api.get(path, version="2.99").body["server"]
    assert api.get(path, version="2.100").body["server"]["scheduler_hints"] == {"different_host": other}
    assert api.get(f"/servers/{other}", version="2.100").body["server"]["scheduler_hints"] == {}


def test_flavors_lose_what_nothing_heeds_and_are_found_by_name(api: ComputeApi) -> None:
    gone = {"rxtx_factor", "OS-FLV-DISABLED:disabled"}
    assert gone <= set(api.get("/flavors/1", version="2.101").body["flavor"])
    assert not gone & set(api.get("/flavors/1", version="2.102").body["flavor"])
    flavor = {"name": "x2", "ram": 1, "vcpus": 1, "disk": 0}
    made = [api.post("/flavors", {"flavor": {**flavor, "name": version, "rxtx_factor": 1.0}}, user="admin", version=version)
            for version in ("2.101", "2.102")]
    assert [answer.status for answer in made] == [200, 400]
    assert [one["name"] for one in api.get("/flavors?name=^m", version="2.102").body["flavors"]] == ["m1"]
    assert api.get("/flavors?name=[", version="2.102").status == 400
    assert api.get("/flavors?name=m", version="2.101").status == 400


@pytest.mark.parametrize("path", ["/extensions", "/os-availability-zone", "/flavors/1"])
def test_unknown_query_parameters_are_refused_everywhere(api: ComputeApi, path: str) -> None:
    assert [api.get(f"{path}?colour=blue", version=version).status for version in ("2.101", "2.102")] == [200, 400]


def test_the_pinned_zone_changes_and_goes(api: ComputeApi) -> None:
    server_id = boot(api, availability_zone="nova")
    settle(api, server_id, availability_zone="nova")

    def put(zone: str | None, version: str = "2.104") -> int:
        return api.put(f"/servers/{server_id}", {"server": {"pinned_availability_zone": zone}}, version=version).status

    assert [put(None), put("nova"), put("nope"), put(None, "2.103")] == [200, 200, 400, 400]
    assert api.get(f"/servers/{server_id}", version="2.104").body["server"]["pinned_availability_zone"] == "nova"


def test_a_spice_console_is_refused_by_name(api: ComputeApi) -> None:
    server_id = boot(api)
    settle(api, server_id)
    body = {"remote_console": {"protocol": "spice", "type": "spice-direct"}}
    answers = [api.post(f"/servers/{server_id}/remote-consoles", body, version=version) for version in ("2.98", "2.99")]
    assert [answer.status for answer in answers] == [400, 400]
    assert "Unavailable console type spice-direct" in answers[1].body["badRequest"]["message"]
