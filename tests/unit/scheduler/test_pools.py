# SPDX-License-Identifier: Apache-2.0
"""Pools for volumes: each filter's reason, the order of those that fit, and what the user reads."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest

from nova_lite.rpc.scheduler import PoolRequest
from nova_lite.scheduler.volumes import pipeline
from nova_lite.scheduler.volumes.filters import FILTERS
from nova_lite.scheduler.volumes.view import PoolView

POOL = PoolView(
    name="h1@lvm#p", agent="h1", backend="lvm", availability_zone="nova", is_up=True, is_enabled=True, capacity_gb=100, claimed_gb=90,
    free_gb=50.0, floor_gb=1.0, is_thin=True, reach="host", capabilities={"volume_backend_name": "lvm", "multiattach": False, "level": "4"})
REQUEST = PoolRequest(volume_id="v", project_id="p", size_gb=10)


def reason(pool: PoolView = POOL, **request: Any) -> str | None:
    for check in FILTERS:
        found = check(pool, dataclasses.replace(REQUEST, **request))
        if found is not None:
            return found
    return None


def test_a_pool_with_just_enough_left_fits() -> None:
    assert reason() is None


@pytest.mark.parametrize(("change", "request_", "expected"), [
    ({}, {"excluded": ("h1@lvm#p",)}, "already tried"),
    ({}, {"forced_pool": "h2@lvm#p"}, "not the requested pool"),
    ({}, {"forced_backend": "h1@nfs"}, "not the backend that has the source"),
    ({"is_enabled": False}, {}, "disabled by an operator"),
    ({"is_up": False}, {}, "nova-volume is down"),
    ({}, {"availability_zone": "az2"}, "in another availability zone: az2 requested"),
    ({}, {"extra_specs": {"RESKEY:availability_zones": "az1, az2"}}, "in no availability zone of the volume type: az1, az2"),
    ({}, {"agent": "h2"}, "reached by guests of another host only"),
    ({}, {"extra_specs": {"volume_backend_name": "ceph"}}, "not what the volume type requires: volume_backend_name ceph"),
    ({}, {"extra_specs": {"capabilities:level": ">= 5"}}, "not what the volume type requires: level >= 5"),
    ({}, {"extra_specs": {"unknown": "1"}}, "not what the volume type requires: unknown 1"),
    ({}, {"is_shared": True}, "cannot attach a volume to several servers"),
    ({"claimed_gb": 91}, {}, "not enough capacity: 10 GiB requested, 9 GiB left"),
    ({"free_gb": 0.5}, {}, "not enough free space: 0.5 GiB free, 1 GiB needed"),
    ({"is_thin": False, "free_gb": 10.0}, {}, "not enough free space: 10.0 GiB free, 11 GiB needed"),
])
def test_a_refusal_says_why(change: dict[str, Any], request_: dict[str, Any], expected: str) -> None:
    assert reason(dataclasses.replace(POOL, **change), **request_) == expected


@pytest.mark.parametrize("specs", [
    {"multiattach": "<is> False"}, {"volume_backend_name": "<or> ceph <or> lvm"}, {"capabilities:level": "s== 4"},
    {"provisioning:max_vol_size": "1"}, {"RESKEY:availability_zones": "nova"},
])
def test_extra_specs_that_hold(specs: dict[str, str]) -> None:
    assert reason(extra_specs=specs) is None


def test_a_pool_of_the_network_serves_every_host() -> None:
    assert reason(dataclasses.replace(POOL, reach="network"), agent="h2") is None


def test_the_pool_with_the_largest_share_left_is_first() -> None:
    empty = dataclasses.replace(POOL, name="h2@lvm#p", claimed_gb=0)
    assert pipeline.choose([POOL, empty], REQUEST, rng=random.Random(1)).fitting == (empty, POOL)


def test_the_explanation_counts_reasons_and_names_the_nearest_fit() -> None:
    pools = [dataclasses.replace(POOL, is_up=False), dataclasses.replace(POOL, claimed_gb=99), dataclasses.replace(POOL, claimed_gb=95)]
    explained = pipeline.choose(pools, REQUEST, rng=random.Random(1)).explain()
    assert explained == ("3 storage pools: 2× not enough capacity, 1× nova-volume is down. "
                         "Nearest fit: not enough capacity: 10 GiB requested, 5 GiB left.")


def test_without_pools_the_explanation_says_so() -> None:
    assert pipeline.choose([], REQUEST, rng=random.Random(1)).explain() == "There is no storage pool."
