# SPDX-License-Identifier: Apache-2.0
"""Volumes while there is no volume service: lists are empty, refusals are Nova's, and states count as if there were one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, message, settle

VOLUME = "66666666-6666-4666-8666-666666666666"
OTHER = "77777777-7777-4777-8777-777777777777"
ATTACH = {"volumeAttachment": {"volumeId": VOLUME}}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    return compute_api.furnish(compute_api.make(tmp_path))


@pytest.fixture
def server(api: ComputeApi) -> str:
    found = boot(api)
    settle(api, found)
    return found


def path(server: str, volume: str = "") -> str:
    return f"/servers/{server}/os-volume_attachments" + (f"/{volume}" if volume else "")


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "offset=x", "offset=-1"])
@pytest.mark.parametrize("listed", ["", "/os-volumes", "/os-volumes/detail", "/os-snapshots", "/os-snapshots/detail"])
def test_page_parameters_must_be_numbers(api: ComputeApi, server: str, listed: str, query: str) -> None:
    answer = api.get(f"{listed or path(server)}?{query}")
    assert answer.status == 400
    assert query.partition("=")[0] in message(answer)


@pytest.mark.parametrize(("collection", "key"), [("os-volumes", "volumes"), ("os-snapshots", "snapshots")])
def test_the_proxies_list_nothing_and_find_nothing_up_to_2_35(api: ComputeApi, collection: str, key: str) -> None:
    for listed in (f"/{collection}", f"/{collection}/detail"):
        assert api.get(listed).body == {key: []}
        assert api.get(listed, version="2.36").status == 404
    for answer in (api.get(f"/{collection}/{VOLUME}"), api.delete(f"/{collection}/{VOLUME}")):
        assert (answer.status, message(answer)) == (404, f"{key[:-1].title()} {VOLUME} could not be found.")


@pytest.mark.parametrize(("listed", "body", "wrong", "field"), [
    ("/os-volumes", {"volume": {"size": 1, "display_name": "v"}}, {"volume": {"size": "big"}}, "size"),
    ("/os-volumes", {"volume": {"size": "1"}}, {"volume": {}}, "size"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME, "force": True}}, {"snapshot": {"volume_id": VOLUME, "force": 7}}, "force"),
    ("/os-snapshots", {"snapshot": {"volume_id": VOLUME}}, {"snapshot": {"force": False}}, "volume_id")])
def test_nothing_is_created_and_the_answer_says_why(
    api: ComputeApi, listed: str, body: object, wrong: object, field: str
) -> None:
    answer = api.post(listed, body)
    assert (answer.status, message(answer)) == (400, "This cloud has no volume service.")
    assert field in message(api.post(listed, wrong))
    assert api.post(listed, body, user="reader").status == 403
    assert api.post(listed, body, version="2.36").status == 404


def test_assisted_snapshots_find_no_volume(api: ComputeApi) -> None:
    info = {"snapshot_id": "s", "type": "qcow2", "new_file": "f"}
    made = api.post("/os-assisted-volume-snapshots", {"snapshot": {"volume_id": VOLUME, "create_info": info}}, user="service")
    assert (made.status, VOLUME in message(made)) == (400, True)
    wrong = api.post("/os-assisted-volume-snapshots", {"snapshot": {"volume_id": VOLUME, "create_info": info | {"type": "raw"}}},
                     user="service")
    assert (wrong.status, "type" in message(wrong)) == (400, True)
    one = "/os-assisted-volume-snapshots/s"
    assert "delete_info" in message(api.delete(one, user="service"))
    assert api.delete(f'{one}?delete_info={{"volume_id":"{VOLUME}"}}', user="service").status == 404
    assert api.delete(one).status == 403
