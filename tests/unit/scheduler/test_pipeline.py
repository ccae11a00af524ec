# SPDX-License-Identifier: Apache-2.0
"""The scheduler's filters, weights and words, on hosts that are plain values."""

from __future__ import annotations

import dataclasses
import random

import pytest

from nova_lite.rpc.conductor import HostCell, Offers
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler import pipeline
from nova_lite.scheduler.filters import FILTERS
from nova_lite.scheduler.filters.operators import matches
from nova_lite.scheduler.view import Host, Neighbours

HOST = Host(
    name="h1", agent="h1", availability_zone="nova", architecture="x86_64", virt_type="kvm", is_alive=True,
    is_disabled=False, disabled_reason=None, vcpus=4, vcpus_total=16, vcpus_claimed=0, ram_mb_total=8192, ram_mb_claimed=0,
    disk_gb_total=100, disk_gb_claimed=0, servers_claimed=0)
REQUEST = PlacementRequest(server_id="s", project_id="p", vcpus=1, ram_mb=512, disk_gb=1)

# Filter → a host and a request that only it refuses, and its words.
ONLY = {
    "not_tried_yet": ({}, {"excluded": ("h1",)}, "already tried"),
    "is_the_forced_host": ({}, {"forced_host": "h2"}, "not the host asked for"),
    "is_enabled": ({"is_disabled": True}, {}, "disabled by an operator"),
    "is_alive": ({"is_alive": False}, {}, "nova-compute is down"),
    "is_in_zone": ({}, {"availability_zone": "z"}, "not in availability zone z"),
    "runs_architecture": ({}, {"architecture": "aarch64"}, "cannot run aarch64 images"),
    "takes_project": ({"aggregates": {"filter_tenant_id": frozenset({"q"})}}, {}, "kept for other projects"),
    "takes_image": ({"aggregates": {"os": frozenset({"windows"})}}, {"image_properties": {"os": "linux"}},
                    "kept for other images: os is linux"),
    "has_extra_specs": ({}, {"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}},
                        "in no aggregate that the flavor asks for: ssd true"),
    "is_the_groups_host": ({"neighbours": Neighbours(group_all=1)}, {"group_policy": "affinity"},
                           "not where the server group is"),
    "has_place_for_the_group": (
        {"neighbours": Neighbours(group_here=2, group_all=2)}, {"group_policy": "anti-affinity", "group_max_per_host": 2},
        "has servers of the server group: 2 of at most 2"),
    "is_beside": ({}, {"same_host": ("x",)}, "has none of the servers of same_host"),
    "is_apart": ({"neighbours": Neighbours(has_unwanted=True)}, {"different_host": ("x",)},
                 "has a server of different_host"),
    "has_cores": ({"vcpus_claimed": 16}, {}, "not enough CPUs: 1 asked, 0 left"),
    "has_memory": ({"ram_mb_claimed": 8000}, {}, "not enough memory: 512 MB asked, 192 MB left"),
    "has_features": ({}, {"requires": ("COMPUTE_SECURITY_TPM_2_0",)},
                     "without what the flavor or image requires: COMPUTE_SECURITY_TPM_2_0"),
    "has_nodes": ({}, {"cells": (256, 256)}, "fewer NUMA nodes than the flavor: 2 asked, the host has 1"),
    "has_dedicated_cpus": ({"pcpus_total": 2, "pcpus_claimed": 1}, {"pcpus": 2}, "not enough dedicated CPUs: 2 asked, 1 left"),
    "has_huge_pages": ({"huge_mb_total": 512, "offers": Offers(pages_mb={"2048": 512})}, {"huge_mb": 512, "page_kib": 1048576},
                       "not enough huge pages of 1048576 KiB: 512 MB asked, 0 MB left"),
    "has_disk": ({"disk_gb_claimed": 100}, {}, "not enough disk: 1 GB asked, 0 GB left"),
}


def choose(hosts: list[Host], request: PlacementRequest = REQUEST) -> pipeline.Outcome:
    return pipeline.choose(hosts, request, rng=random.Random(1))


def test_every_filter_has_a_case() -> None:
    assert {check.__name__ for check in FILTERS} == set(ONLY)


def test_a_host_with_room_fits() -> None:
    assert choose([HOST]).fitting == (HOST,)


@pytest.mark.parametrize("name", sorted(ONLY))
def test_a_refusal_names_the_filter_and_what_was_asked_and_left(name: str) -> None:
    host_change, request_change, words = ONLY[name]
    outcome = choose([dataclasses.replace(HOST, **host_change)], dataclasses.replace(REQUEST, **request_change))
    assert outcome.fitting == ()
    assert [(refusal.filter, refusal.reason) for refusal in outcome.refusals] == [(name, words)]
    assert words in outcome.explain()


def test_a_guest_never_has_more_cpus_than_the_host_though_they_may_be_oversold() -> None:
    outcome = choose([HOST], dataclasses.replace(REQUEST, vcpus=5))
    assert "fewer CPUs than the flavor: 5 asked, the host has 4" in outcome.explain()


def test_the_explanation_counts_hosts_per_reason_and_names_no_host() -> None:
    small = [dataclasses.replace(HOST, name=f"secret-{n}", ram_mb_claimed=8192 - n) for n in (0, 100, 300)]
    off = dataclasses.replace(HOST, name="secret-off", is_disabled=True)
    text = choose([*small, off]).explain()
    assert text == ("4 hosts: 3× not enough memory, 1× disabled by an operator. "
                    "Nearest fit: not enough memory: 512 MB asked, 300 MB left.")


def test_no_hosts_at_all_is_said() -> None:
    assert choose([]).explain() == "There is no compute host."


def test_the_emptier_host_comes_first() -> None:
    busy = dataclasses.replace(HOST, name="busy", ram_mb_claimed=6000, vcpus_claimed=8)
    assert [host.name for host in choose([busy, HOST]).fitting] == ["h1", "busy"]


def test_equal_hosts_are_chosen_at_random_so_that_schedulers_do_not_collide() -> None:
    hosts = [dataclasses.replace(HOST, name=f"h{n}") for n in range(10)]
    firsts = {pipeline.choose(hosts, REQUEST, rng=random.Random(seed)).fitting[0].name for seed in range(40)}
    assert len(firsts) > 5


def test_soft_policies_prefer_or_avoid_the_group_whatever_the_room() -> None:
    busy = dataclasses.replace(HOST, name="busy", ram_mb_claimed=6000, vcpus_claimed=8,
                               neighbours=Neighbours(group_here=1, group_all=1))
    together = dataclasses.replace(REQUEST, group_policy="soft-affinity")
    apart = dataclasses.replace(REQUEST, group_policy="soft-anti-affinity")
    assert [host.name for host in choose([busy, HOST], together).fitting] == ["busy", "h1"]
    assert [host.name for host in choose([busy, HOST], apart).fitting] == ["h1", "busy"]


@pytest.mark.parametrize(("value", "wanted", "fits"), [
    ("ssd", "ssd", True), ("ssd", "hdd", False), ("4", ">= 3", True), ("4", "= 5", False), ("x", ">= 3", False),
    ("a", "s== a", True), ("a", "s!= a", False), ("a", "<or> b <or> a", True), ("c", "<or> b <or> a", False),
    ("abc", "<in> b", True), ("abc", "<in> d", False), ("abc", "<all-in> a b", True), ("abc", "<all-in> a d", False)])
def test_extra_specs_have_operators(value: str, wanted: str, *, fits: bool) -> None:
    assert matches(value, wanted) is fits


@pytest.mark.parametrize(("host", "request_changes", "says"), [
    ({"offers": Offers(traits=("A", "B"))}, {"requires": ("A",), "forbids": ("C",)}, None),
    ({"offers": Offers(traits=("A", "B"))}, {"requires": ("A",), "forbids": ("B",)}, "with what the flavor forbids: B"),
    ({"offers": Offers(cells=(HostCell(cpus=(0,), dedicated=(), memory_mb=128),))}, {"cells": (256,)},
     "a NUMA node too small: 256 MB asked of node 0, it has 128 MB"),
    ({"pcpus_total": 1}, {"pcpus": 1}, None),
    # An operator has taken CPUs away from what is claimed: others go on.
    ({"pcpus_total": 1, "pcpus_claimed": 2}, {}, None),
    ({"huge_mb_total": 600, "huge_mb_claimed": 100, "offers": Offers(pages_mb={"2048": 600})}, {"huge_mb": 512},
     "not enough huge pages: 512 MB asked, 500 MB left"),
    ({"huge_mb_total": 612, "huge_mb_claimed": 100, "offers": Offers(pages_mb={"2048": 612})},
     {"huge_mb": 512, "page_kib": 2048}, None),
])
def test_hardware_decides(host: dict[str, object], request_changes: dict[str, object], says: str | None) -> None:
    outcome = choose([dataclasses.replace(HOST, **host)], dataclasses.replace(REQUEST, **request_changes))  # type: ignore[arg-type]
    assert [refusal.reason for refusal in outcome.refusals] == ([] if says is None else [says])
