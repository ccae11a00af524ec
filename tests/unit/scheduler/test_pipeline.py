# SPDX-License-Identifier: Apache-2.0
"""The scheduler's filters, weighers and explanations, on hosts that are plain values."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

import pytest

from nova_lite.db.hosts import hosts
from nova_lite.rpc.conductor import HostCapabilities, HostNumaNode
from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler import pipeline
from nova_lite.scheduler.filters import FILTERS
from nova_lite.scheduler.view import Host, HostAffinity
from nova_lite.scheduler.weighers import WEIGHERS
from nova_lite.values.resources import Resources
from nova_lite.values.spec_operators import matches
from tests.support.paths import ROOT

ROOMY = Resources(vcpus=16, ram_mb=8192, disk_gb=100)
HOST = Host(
    name="h1", agent="h1", availability_zone="nova", architecture="x86_64", virt_type="kvm", is_alive=True,
    is_disabled=False, disabled_reason=None, vcpus=4, capacity=ROOMY)
REQUEST = PlacementRequest(server_id="s", project_id="p", vcpus=1, ram_mb=512, disk_gb=1)

# Filter → a host and a request that only it refuses, and its reason.
ONLY = {
    "is_not_tried": ({}, {"excluded": ("h1",)}, "already tried"),
    "is_requested_host": ({}, {"forced_host": "h2"}, "not the requested host"),
    "is_enabled": ({"is_disabled": True}, {}, "disabled by an operator"),
    "is_up": ({"is_alive": False}, {}, "nova-compute is down"),
    "reaches_volumes": ({}, {"volume_agent": "elsewhere"}, "does not reach the server's volumes"),
    "is_in_availability_zone": ({}, {"availability_zone": "z"}, "not in availability zone z"),
    "runs_architecture": ({}, {"architecture": "aarch64"}, "cannot run aarch64 images"),
    "accepts_project": ({"aggregates": {"filter_tenant_id": frozenset({"q"})}}, {}, "reserved for other projects"),
    "accepts_image": ({"aggregates": {"os": frozenset({"windows"})}}, {"image_properties": {"os": "linux"}},
                    "reserved for other images: os is linux"),
    "has_extra_specs": ({}, {"extra_specs": {"aggregate_instance_extra_specs:ssd": "true"}},
                        "in no aggregate that the flavor requires: ssd true"),
    "has_the_group": ({"affinity": HostAffinity(group_all=1)}, {"group_policy": "affinity"},
                           "not the host of the server group"),
    "is_below_group_limit": (
        {"affinity": HostAffinity(group_here=2, group_all=2)}, {"group_policy": "anti-affinity", "group_max_per_host": 2},
        "has servers of the server group: 2 of at most 2"),
    "is_same_host": ({}, {"same_host": ("x",)}, "has none of the servers of same_host"),
    "is_different_host": ({"affinity": HostAffinity(has_different=True)}, {"different_host": ("x",)},
                 "has a server of different_host"),
    "has_cores": ({"allocated": Resources(vcpus=16)}, {}, "not enough CPUs: 1 requested, 0 free"),
    "has_memory": ({"allocated": Resources(ram_mb=8000)}, {}, "not enough memory: 512 MB requested, 192 MB free"),
    "has_traits": ({}, {"required_traits": ("COMPUTE_SECURITY_TPM_2_0",)},
                     "without what the flavor or image requires: COMPUTE_SECURITY_TPM_2_0"),
    "has_numa_nodes": ({}, {"numa_nodes_mb": (256, 256)}, "fewer NUMA nodes than the flavor: 2 requested, the host has 1"),
    "has_dedicated_cpus": ({"capacity": ROOMY.replace(pcpus=2), "allocated": Resources(pcpus=1)}, {"pcpus": 2}, "not enough dedicated CPUs: 2 requested, 1 free"),
    "has_huge_pages": ({"capacity": ROOMY.replace(hugepages_mb=512), "capabilities": HostCapabilities(hugepages_mb={"2048": 512})}, {"hugepages_mb": 512, "page_size_kib": 1048576},
                       "not enough huge pages of 1048576 KiB: 512 MB requested, 0 MB free"),
    "has_disk": ({"allocated": Resources(disk_gb=100)}, {}, "not enough disk: 1 GB requested, 0 GB free"),
}


def choose(hosts: list[Host], request: PlacementRequest = REQUEST) -> pipeline.Outcome:
    return pipeline.choose(hosts, request, rng=random.Random(1))


def test_every_filter_has_a_case() -> None:
    assert {check.__name__ for check in FILTERS} == set(ONLY)


def test_a_host_with_free_capacity_fits() -> None:
    assert choose([HOST]).fitting == (HOST,)


def test_a_host_of_an_earlier_release_is_refused_as_such_and_not_as_disabled() -> None:
    old = dataclasses.replace(HOST, is_disabled=True, disabled_reason=hosts.AUTO + hosts.OUTDATED, outdated="nova-network")
    assert choose([old]).explain().startswith("1 host: 1× nova-network is of an earlier release.")


@pytest.mark.parametrize("name", sorted(ONLY))
def test_a_refusal_names_the_filter_what_is_requested_and_what_is_free(name: str) -> None:
    host_change, request_change, reason = ONLY[name]
    outcome = choose([dataclasses.replace(HOST, **host_change)], dataclasses.replace(REQUEST, **request_change))
    assert outcome.fitting == ()
    assert [(refusal.filter, refusal.reason) for refusal in outcome.refusals] == [(name, reason)]
    assert reason in outcome.explain()


def test_a_guest_never_has_more_cpus_than_the_host_though_cpus_may_be_overcommitted() -> None:
    outcome = choose([HOST], dataclasses.replace(REQUEST, vcpus=5))
    assert "fewer CPUs than the flavor: 5 requested, the host has 4" in outcome.explain()


def test_the_explanation_counts_hosts_per_reason_and_names_no_host() -> None:
    small = [dataclasses.replace(HOST, name=f"secret-{n}", allocated=Resources(ram_mb=8192 - n)) for n in (0, 100, 300)]
    off = dataclasses.replace(HOST, name="secret-off", is_disabled=True)
    text = choose([*small, off]).explain()
    assert text == ("4 hosts: 3× not enough memory, 1× disabled by an operator. "
                    "Nearest fit: not enough memory: 512 MB requested, 300 MB free.")


def test_the_explanation_of_no_hosts_at_all() -> None:
    assert choose([]).explain() == "There is no compute host."


def test_the_emptier_host_comes_first() -> None:
    busy = dataclasses.replace(HOST, name="busy", allocated=Resources(ram_mb=6000, vcpus=8))
    assert [host.name for host in choose([busy, HOST]).fitting] == ["h1", "busy"]


def test_equal_hosts_are_chosen_at_random_so_that_schedulers_do_not_collide() -> None:
    equal = [dataclasses.replace(HOST, name=f"h{n}") for n in range(10)]
    firsts = {pipeline.choose(equal, REQUEST, rng=random.Random(seed)).fitting[0].name for seed in range(40)}
    assert len(firsts) > 5


def test_soft_policies_prefer_or_avoid_the_group_whatever_the_capacity() -> None:
    busy = dataclasses.replace(HOST, name="busy", allocated=Resources(ram_mb=6000, vcpus=8),
                               affinity=HostAffinity(group_here=1, group_all=1))
    together = dataclasses.replace(REQUEST, group_policy="soft-affinity")
    apart = dataclasses.replace(REQUEST, group_policy="soft-anti-affinity")
    assert [host.name for host in choose([busy, HOST], together).fitting] == ["busy", "h1"]
    assert [host.name for host in choose([busy, HOST], apart).fitting] == ["h1", "busy"]


@pytest.mark.parametrize(("value", "required", "fits"), [
    ("ssd", "ssd", True), ("ssd", "hdd", False), ("4", ">= 3", True), ("4", "= 5", False), ("x", ">= 3", False),
    ("a", "s== a", True), ("a", "s!= a", False), ("a", "<or> b <or> a", True), ("c", "<or> b <or> a", False),
    ("abc", "<in> b", True), ("abc", "<in> d", False), ("abc", "<all-in> a b", True), ("abc", "<all-in> a d", False)])
def test_extra_specs_have_operators(value: str, required: str, *, fits: bool) -> None:
    assert matches(value, required) is fits


@pytest.mark.parametrize(("host", "request_changes", "reason"), [
    ({"capabilities": HostCapabilities(traits=("A", "B"))}, {"required_traits": ("A",), "forbidden_traits": ("C",)}, None),
    ({"capabilities": HostCapabilities(traits=("A", "B"))}, {"required_traits": ("A",), "forbidden_traits": ("B",)}, "with what the flavor forbids: B"),
    ({"capabilities": HostCapabilities(numa_nodes=(HostNumaNode(cpus=(0,), dedicated=(), memory_mb=128),))}, {"numa_nodes_mb": (256,)},
     "a NUMA node too small: 256 MB requested of node 0, it has 128 MB"),
    ({"capacity": ROOMY.replace(pcpus=1)}, {"pcpus": 1}, None),
    # An operator has taken CPUs away from what is claimed: others go on.
    ({"capacity": ROOMY.replace(pcpus=1), "allocated": Resources(pcpus=2)}, {}, None),
    ({"capacity": ROOMY.replace(hugepages_mb=600), "allocated": Resources(hugepages_mb=100), "capabilities": HostCapabilities(hugepages_mb={"2048": 600})}, {"hugepages_mb": 512},
     "not enough huge pages: 512 MB requested, 500 MB free"),
    ({"capacity": ROOMY.replace(hugepages_mb=612), "allocated": Resources(hugepages_mb=100), "capabilities": HostCapabilities(hugepages_mb={"2048": 612})},
     {"hugepages_mb": 512, "page_size_kib": 2048}, None),
])
def test_hardware_is_compared(host: dict[str, object], request_changes: dict[str, object], reason: str | None) -> None:
    outcome = choose([dataclasses.replace(HOST, **host)], dataclasses.replace(REQUEST, **request_changes))  # type: ignore[arg-type]
    assert [refusal.reason for refusal in outcome.refusals] == ([] if reason is None else [reason])


@pytest.mark.parametrize("check", [*FILTERS, *WEIGHERS], ids=lambda check: check.__name__)
def test_the_documentation_maps_every_filter_and_weigher_to_nova(check: Callable[..., object]) -> None:
    name = f"`{check.__module__.rsplit('.', 1)[-1]}.{check.__name__}`"
    assert f"| {name} |" in (ROOT / "docs" / "scheduler.md").read_text()
