# SPDX-License-Identifier: Apache-2.0
"""Requests for one volume at once: one of them wins, no other harms it, and none fails by a lock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.api import volume_api
from tests.support.api.volume_api import VolumeApi, snapshot, volume

V1 = "aaaaaaaa-0000-4000-8000-000000000001"
S1 = "bbbbbbbb-0000-4000-8000-000000000001"
THREADS = 6


@pytest.fixture
def api(tmp_path: Path) -> VolumeApi:
    """A cloud in which alice has the available volume V1 with a snapshot."""
    made = volume_api.make(tmp_path)
    made.add(volume(V1), snapshot(S1, V1))
    return made


def at_once(calls: Sequence[Callable[[], int]]) -> Counter[int]:
    """How often each status was answered."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return Counter(pool.map(lambda call: call(), calls))


def attach(api: VolumeApi, number: int) -> Callable[[], int]:
    server_id = f"dddddddd-0000-4000-8000-00000000000{number}"
    return lambda: api.post("/attachments", {"attachment": {"volume_uuid": V1, "instance_uuid": server_id}}).status


def act(api: VolumeApi, name: str, params: object) -> Callable[[], int]:
    return lambda: api.post(f"/volumes/{V1}/action", {name: params}).status


def test_of_many_servers_one_gets_the_volume(api: VolumeApi) -> None:
    assert at_once([attach(api, number) for number in range(THREADS)]) == {200: 1, 400: THREADS - 1}
    assert len(api.get("/attachments").body["attachments"]) == 1


def test_of_many_extensions_one_is_begun(api: VolumeApi) -> None:
    assert at_once([act(api, "os-extend", {"new_size": 2 + number}) for number in range(THREADS)]) == {202: 1, 400: THREADS - 1}


def test_a_volume_is_deleted_or_attached(api: VolumeApi) -> None:
    calls = [lambda: api.delete(f"/volumes/{V1}?cascade=1").status, *(attach(api, number) for number in range(THREADS))]
    statuses = at_once(calls)
    assert statuses[202] + statuses[200] == 1
    assert statuses[400] == THREADS


def test_a_snapshot_is_deleted_or_copied(api: VolumeApi) -> None:
    def delete() -> int:
        return api.delete(f"/snapshots/{S1}").status

    def copy() -> int:
        return 1000 + api.post("/volumes", {"volume": {"snapshot_id": S1}}).status

    statuses = at_once([delete, *[copy] * THREADS])
    assert statuses == {202: 1, 1400: THREADS} or (statuses[400] == 1 and statuses[1202] == THREADS)


def test_attaches_and_detaches_by_many_clients_wait_for_each_other(api: VolumeApi) -> None:
    """No two of them lock the volume and its attachments in opposite orders."""
    attached = {"instance_uuid": "dddddddd-0000-4000-8000-000000000001", "mountpoint": "/dev/vdb"}
    calls = [act(api, "os-attach", attached), act(api, "os-detach", {}), act(api, "os-reserve", {}), act(api, "os-unreserve", {})] * 6
    assert at_once(calls).keys() <= {202, 400}
    act(api, "os-detach", {})()
    assert api.get(f"/volumes/{V1}").body["volume"]["status"] in ("available", "attaching")
