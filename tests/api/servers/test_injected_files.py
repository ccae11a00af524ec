# SPDX-License-Identifier: Apache-2.0
"""Files given with a server: kept for its guest's metadata, within the quotas, up to 2.56."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.servers import Server
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, SERVER, ComputeApi, boot, settle

FILE = {"path": "/etc/motd", "contents": base64.b64encode(b"hello").decode()}


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    return compute_api.furnish(compute_api.make(tmp_path))


def files(api: ComputeApi, server_id: str) -> Any:
    return api.change(lambda session: session.scalars(sa.select(Server.files).where(Server.id == server_id)).one())


def test_injected_files_are_stored_and_a_rebuild_replaces_them(api: ComputeApi) -> None:
    server_id = boot(api, personality=[FILE])
    assert files(api, server_id) == [FILE]
    settle(api, server_id)
    assert api.post(f"/servers/{server_id}/action", {"rebuild": {"imageRef": IMAGE}}).status == 202
    assert files(api, server_id) == [FILE]
    settle(api, server_id)
    body = {"rebuild": {"imageRef": IMAGE, "personality": []}}
    assert api.post(f"/servers/{server_id}/action", body, version="2.56").status == 202
    assert files(api, server_id) is None


@pytest.mark.parametrize(("given", "status"), [
    ([FILE] * 6, 403), ([{**FILE, "path": "/" + "a" * 255}], 403),
    ([{**FILE, "contents": base64.b64encode(bytes(10241)).decode()}], 403), ([{**FILE, "contents": "?"}], 400),
    ([{"path": "/a"}], 400),
])
def test_injected_files_over_quota_are_refused(api: ComputeApi, given: Any, status: int) -> None:
    assert api.post("/servers", {"server": {**SERVER, "personality": given}}).status == status


def test_injected_files_are_unknown_from_2_57_on(api: ComputeApi) -> None:
    body = {"server": {**SERVER, "networks": "none", "personality": [FILE]}}
    assert api.post("/servers", body, version="2.57").status == 400
