# SPDX-License-Identifier: Apache-2.0
"""A write whose client has closed the connection changes nothing; a request that only waits gives its place to others."""

from __future__ import annotations

from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi


def test_a_write_whose_client_has_gone_is_dropped_before_its_commit(api: ComputeApi) -> None:
    api.server_environ["nova.is_client_gone"] = lambda: True
    answer = api.post("/servers", {"server": compute_api.SERVER})
    assert answer.status == 499
    api.server_environ.clear()
    assert api.get("/servers").body == {"servers": []}
    assert api.rpc.sent == []


def test_a_read_is_answered_in_any_case(api: ComputeApi) -> None:
    api.server_environ["nova.is_client_gone"] = lambda: True
    assert api.get("/servers").status == 200


def test_a_request_that_waits_for_a_host_gives_its_place_to_others(api: ComputeApi, server_id: str) -> None:
    given: list[bool] = []
    api.server_environ["nova.leave_share"] = lambda: given.append(True)
    assert api.post(f"/servers/{server_id}/action", {"os-getConsoleOutput": {}}).status == 200
    assert given == [True]
