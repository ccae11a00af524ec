# SPDX-License-Identifier: Apache-2.0
"""Pages that begin after a row which has been deleted, or has left the filter, since its page was shown."""

from __future__ import annotations

import uuid

import pytest

from nova_lite.db.base import utcnow
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi


@pytest.fixture
def five(api: ComputeApi) -> list[str]:
    made = [compute_api.boot(api, name=f"vm{number}") for number in range(5)]
    for server_id in made:
        compute_api.settle(api, server_id)
    return made[::-1]  # as lists show them, newest first


def _ids(api: ComputeApi, query: str) -> list[str]:
    answer = api.get(f"/servers?{query}")
    assert answer.status == 200, answer.body
    return [server["id"] for server in answer.body["servers"]]


@pytest.mark.parametrize("filters", ["", "name=vm&", "status=ACTIVE&"])
def test_a_page_after_a_deleted_server_goes_on(api: ComputeApi, five: list[str], filters: str) -> None:
    first = _ids(api, f"{filters}limit=2")
    compute_api.settle(api, first[-1], deleted_at=utcnow(), vm_state="deleted")
    assert first + _ids(api, f"{filters}limit=9&marker={first[-1]}") == five


def test_a_page_after_a_server_that_left_the_filter_goes_on(api: ComputeApi, five: list[str]) -> None:
    first = _ids(api, "status=ACTIVE&limit=2")
    compute_api.settle(api, first[-1], vm_state="stopped")
    assert first + _ids(api, f"status=ACTIVE&limit=9&marker={first[-1]}") == five


def test_another_projects_marker_is_refused(api: ComputeApi, five: list[str]) -> None:
    assert api.get(f"/servers?marker={five[0]}", user="bob").status == 400
    assert api.get(f"/servers?marker={uuid.uuid4()}").status == 400
