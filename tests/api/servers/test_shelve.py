# SPDX-License-Identifier: Apache-2.0
"""Shelve, offload and unshelve as requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.compute.actions import Action
from nova_lite.db.image.images import Image
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, act, settle
from tests.support.api.users import PROJECTS


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    api.add(*compute_api.host("h1"), *compute_api.host("h2", zone="west"))
    return api


def offload(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="shelved_offloaded", host=None, agent=None, power_state=4)


def last_inputs(api: ComputeApi) -> dict[str, Any]:
    return dict(api.change(lambda session: session.query(Action).order_by(Action.id.desc()).first().inputs))


def test_shelve_creates_an_image_and_casts_to_the_conductor(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "shelve").status == 202
    assert api.rpc.sent[0][:3] == ("conductor", "", "run")
    image_id = last_inputs(api)["image_id"]
    image = api.change(lambda session: session.get(Image, image_id))
    assert (image.name, image.status, image.owner) == ("vm-shelved", "queued", PROJECTS["alice"])
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("ACTIVE", "shelving")


@pytest.mark.parametrize(("state", "status"), [("shelved", "SHELVED"), ("shelved_offloaded", "SHELVED_OFFLOADED")])
def test_a_shelved_server_is_shown_and_filtered_by_its_status(api: ComputeApi, server_id: str, state: str, status: str) -> None:
    settle(api, server_id, vm_state=state)
    assert api.get(f"/servers/{server_id}").body["server"]["status"] == status
    assert [one["id"] for one in api.get(f"/servers?status={status}").body["servers"]] == [server_id]


@pytest.mark.parametrize(("word", "state", "user"), [
    ("shelve", "error", "alice"), ("shelve", "shelved", "alice"), ("unshelve", "active", "alice"),
    ("shelveOffload", "active", "admin"), ("shelveOffload", "shelved_offloaded", "admin"), ("os-start", "shelved", "alice"),
])
def test_shelve_actions_are_refused_in_wrong_states(api: ComputeApi, server_id: str, word: str, state: str, user: str) -> None:
    settle(api, server_id, vm_state=state)
    assert act(api, server_id, word, user=user).status == 409


def test_only_admins_offload(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="shelved")
    assert act(api, server_id, "shelveOffload").status == 403
    assert act(api, server_id, "shelveOffload", user="admin").status == 202


def test_the_value_of_unshelve_is_ignored_before_2_77(api: ComputeApi, server_id: str) -> None:
    offload(api, server_id)
    assert act(api, server_id, "unshelve", {"availability_zone": "west"}, version="2.76").status == 202
    assert api.get(f"/servers/{server_id}", version="2.96").body["server"]["pinned_availability_zone"] is None


def test_unshelve_to_a_zone_pins_it(api: ComputeApi, server_id: str) -> None:
    offload(api, server_id)
    assert act(api, server_id, "unshelve", {"availability_zone": "west"}, version="2.77").status == 202
    assert api.get(f"/servers/{server_id}", version="2.96").body["server"]["pinned_availability_zone"] == "west"


def test_unshelve_without_a_zone_unpins_it(api: ComputeApi, server_id: str) -> None:
    offload(api, server_id)
    settle(api, server_id, vm_state="shelved_offloaded", host=None, agent=None, requested_az="west")
    assert act(api, server_id, "unshelve", {"availability_zone": None}, version="2.91").status == 202
    assert api.get(f"/servers/{server_id}", version="2.96").body["server"]["pinned_availability_zone"] is None


def test_only_admins_unshelve_to_a_host(api: ComputeApi, server_id: str) -> None:
    offload(api, server_id)
    assert act(api, server_id, "unshelve", {"host": "h2"}, version="2.91").status == 403
    assert act(api, server_id, "unshelve", {"host": "h2"}, version="2.91", user="admin").status == 202
    assert last_inputs(api) == {"host": "h2"}


@pytest.mark.parametrize(("value", "version", "status"), [
    ({"availability_zone": "nowhere"}, "2.77", 400), ({"availability_zone": None}, "2.77", 400), ({}, "2.77", 400),
    ({"host": "h2"}, "2.90", 400), ({"host": "nowhere"}, "2.91", 400), ({"host": None}, "2.91", 400),
    ({"host": "h1", "availability_zone": "west"}, "2.91", 400), ({"other": 1}, "2.91", 400),
])
def test_an_unshelve_to_an_unknown_zone_or_host_is_refused(api: ComputeApi, server_id: str, value: Any, version: str, status: int) -> None:
    offload(api, server_id)
    assert act(api, server_id, "unshelve", value, version=version, user="admin").status == status


def test_only_an_offloaded_server_is_unshelved_to_a_zone_or_host(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="shelved")
    assert act(api, server_id, "unshelve", {"availability_zone": "west"}, version="2.77").status == 409
    assert act(api, server_id, "unshelve", version="2.77").status == 202


def test_instance_actions_have_novas_names(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="shelved")
    act(api, server_id, "shelveOffload", user="admin")
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert journal[0]["action"] == "shelveOffload"
