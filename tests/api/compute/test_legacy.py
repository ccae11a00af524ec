# SPDX-License-Identifier: Apache-2.0
"""/v2: the same resources without microversions, and as tolerant as it always was."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.api.paste_cloud import PasteCloud


@pytest.fixture
def cloud(tmp_path: Path) -> PasteCloud:
    return PasteCloud(tmp_path)


def test_v2_tolerates_unknown_properties_and_knows_no_microversions(cloud: PasteCloud) -> None:
    body = {"server_group": {"name": "g", "policies": ["affinity"], "colour": "blue"}}
    answer = cloud.request("POST", "/v2/os-server-groups", body, token=cloud.admin.token, version="2.64")
    assert (answer.status_int, "OpenStack-API-Version" in answer.headers) == (200, False)
    assert json.loads(answer.text)["server_group"]["policies"] == ["affinity"]
    assert cloud.request("POST", "/v2.1/os-server-groups", body, token=cloud.admin.token, version="2.1").status_int == 400
    cloud.close()


def test_v2_is_described(cloud: PasteCloud) -> None:
    shown = cloud.request("GET", "/v2/", token=cloud.admin.token).json["version"]
    assert (shown["id"], shown["version"], shown["min_version"]) == ("v2.0", "", "")
    cloud.close()
