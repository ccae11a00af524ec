# SPDX-License-Identifier: Apache-2.0
"""Hypervisors, services, availability zones, limits, quotas and extensions of the Compute API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nova_lite.api.compute.microversions import HISTORY
from nova_lite.db.hosts import claims, hosts
from nova_lite.db.hosts.hosts import Service
from nova_lite.values.resources import AllocationRatios, Resources
from tests.support.api import compute_api
from tests.support.api.compute_api import Answer, ComputeApi, boot, settle
from tests.support.api.users import PROJECTS

ALICE = PROJECTS["alice"]


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    made = compute_api.furnish(compute_api.make(tmp_path))
    made.add(*compute_api.host("h1"), *compute_api.host("h2", zone="east"),
             Service(binary="nova-conductor", host="c1", agent="c1", availability_zone="nova"))
    return made


def get(api: ComputeApi, path: str, version: str = "2.1", user: str = "admin") -> Answer:
    return api.get(path, user=user, version=version)


def silence(api: ComputeApi, host: str, **columns: Any) -> None:
    def change(session: Any) -> None:
        for service in session.query(Service).filter_by(host=host):
            for name, value in (columns or {"seen_at": service.created_at.replace(year=2020)}).items():
                setattr(service, name, value)

    api.change(change)


CAPACITY = {"vcpus", "vcpus_used", "memory_mb", "memory_mb_used", "free_ram_mb", "local_gb", "local_gb_used",
            "free_disk_gb", "disk_available_least", "running_vms", "current_workload", "cpu_info"}
ALWAYS = {"id", "hypervisor_hostname", "state", "status", "hypervisor_type", "hypervisor_version", "host_ip", "service"}


@pytest.mark.parametrize(("version", "fields"), [
    ("2.1", ALWAYS | CAPACITY), ("2.87", ALWAYS | CAPACITY), ("2.88", ALWAYS | {"uptime"})])
def test_hypervisors_show_capacity_before_2_88_and_uptime_since(
    api: ComputeApi, version: str, fields: set[str]
) -> None:
    shown = get(api, "/os-hypervisors/detail", version).body["hypervisors"][0]
    assert set(shown) == fields
    assert get(api, f"/os-hypervisors/{shown['id']}", version).body["hypervisor"] == shown


def test_a_hypervisor_says_why_it_does_not_use_kvm(api: ComputeApi) -> None:
    shown = get(api, "/os-hypervisors/detail", "2.28").body["hypervisors"][0]
    assert shown["cpu_info"] == {"arch": "x86_64", "virt_type": "qemu", "virt_reason": "/dev/kvm is missing"}
    uptime = get(api, "/os-hypervisors/detail", "2.88").body["hypervisors"][0]["uptime"]
    # The form that openstackclient parses: the text after the load average is shown as a part of it.
    assert uptime == " 01:11:15 up 3 days,  4:05,  2 users,  load average: 0.10, 0.20, 0.30; qemu: /dev/kvm is missing"


def test_hypervisors_are_numbered_before_2_53_and_have_uuids_since(api: ComputeApi) -> None:
    assert get(api, "/os-hypervisors").body["hypervisors"][0]["id"] == 1
    host_id = get(api, "/os-hypervisors", "2.53").body["hypervisors"][0]["id"]
    assert get(api, f"/os-hypervisors/{host_id}", "2.53").status == 200
    for path, version, status in (
        ("/os-hypervisors/1", "2.52", 200), ("/os-hypervisors/9", "2.52", 404), ("/os-hypervisors/1", "2.53", 400),
        ("/os-hypervisors/h1", "2.53", 400), (f"/os-hypervisors/{host_id[:-4]}0000", "2.53", 404),
        ("/os-hypervisors/h/search", "2.52", 200), ("/os-hypervisors/x/search", "2.52", 404),
        ("/os-hypervisors/h/search", "2.53", 404), ("/os-hypervisors?hypervisor_hostname_pattern=x", "2.53", 404),
        ("/os-hypervisors/statistics", "2.88", 404), ("/os-hypervisors/1/uptime", "2.52", 200),
    ):
        assert (path, version, get(api, path, version).status) == (path, version, status)


def test_a_hypervisor_lists_its_servers_by_with_servers(api: ComputeApi) -> None:
    server_id = boot(api)
    settle(api, server_id)
    here = [{"name": "instance-00000001", "uuid": server_id}]
    found = get(api, "/os-hypervisors?with_servers=True", "2.53").body["hypervisors"]
    assert [host.get("servers") for host in found] == [here, None]
    found = get(api, "/os-hypervisors?with_servers=True", "2.75").body["hypervisors"]
    assert [host.get("servers") for host in found] == [here, []]
    assert "servers" not in get(api, "/os-hypervisors", "2.75").body["hypervisors"][0]
    assert get(api, "/os-hypervisors/h1/servers").body["hypervisors"][0]["servers"] == here


def test_hypervisors_page_and_filter(api: ComputeApi) -> None:
    page = get(api, "/os-hypervisors?limit=1", "2.53").body
    rest = get(api, page["hypervisors_links"][0]["href"].split("/v2.1")[1], "2.53").body
    assert [host["hypervisor_hostname"] for host in page["hypervisors"] + rest["hypervisors"]] == ["h1", "h2"]
    found = get(api, "/os-hypervisors?hypervisor_hostname_pattern=2", "2.53").body["hypervisors"]
    assert [host["hypervisor_hostname"] for host in found] == ["h2"]


def test_statistics_sum_over_enabled_hosts(api: ComputeApi) -> None:
    silence(api, "h2", disabled=True)
    sums = get(api, "/os-hypervisors/statistics").body["hypervisor_statistics"]
    assert (sums["count"], sums["vcpus"], sums["memory_mb"]) == (1, 8, 4096)


def test_only_admins_see_hosts(api: ComputeApi) -> None:
    for path in ("/os-hypervisors", "/os-hypervisors/detail", "/os-services", "/os-availability-zone/detail",
                 "/os-aggregates"):
        assert get(api, path, user="alice").status == 403


def test_services_show_who_lives(api: ComputeApi) -> None:
    silence(api, "h2")
    found = get(api, "/os-services", "2.53").body["services"]
    assert [(one["binary"], one["host"], one["zone"], one["state"], one["status"]) for one in found] == [
        ("nova-compute", "h1", "nova", "up", "enabled"), ("nova-compute", "h2", "east", "down", "enabled"),
        ("nova-conductor", "c1", "internal", "up", "enabled")]
    assert len(get(api, "/os-services?binary=nova-compute&host=h1").body["services"]) == 1
    assert "forced_down" not in get(api, "/os-services", "2.10").body["services"][0]


def test_services_are_listed_in_the_order_in_which_they_came(api: ComputeApi) -> None:
    before = get(api, "/os-services", "2.10").body["services"]
    api.change(lambda session: session.add(Service(binary="nova-api", host="a", agent="a")))
    after = get(api, "/os-services", "2.10").body["services"]
    assert [one["id"] for one in after] == sorted(one["id"] for one in after)
    assert (after[:-1], after[-1]["binary"]) == (before, "nova-api")


def test_a_service_is_disabled_and_enabled_by_uuid(api: ComputeApi) -> None:
    service_id = get(api, "/os-services", "2.53").body["services"][0]["id"]
    path = f"/os-services/{service_id}"

    def put(body: dict[str, Any]) -> Answer:
        return api.put(path, body, user="admin", version="2.53")

    shown = put({"status": "disabled", "disabled_reason": "broken fan"}).body["service"]
    assert (shown["id"], shown["status"], shown["disabled_reason"]) == (service_id, "disabled", "broken fan")
    assert put({"forced_down": True}).body["service"]["state"] == "down"
    shown = put({"status": "enabled", "forced_down": False}).body["service"]
    assert (shown["status"], shown["disabled_reason"], shown["state"]) == ("enabled", None, "up")
    assert [put(body).status for body in ({}, {"disabled_reason": "x"}, {"status": "enabled", "disabled_reason": "x"},
                                          {"status": "broken"}, {"host": "h1"})] == [400] * 5
    assert api.put(path, {"status": "disabled"}, version="2.53").status == 403
    assert api.put("/os-services/nope", {"status": "disabled"}, user="admin", version="2.53").status == 400
    conductor = get(api, "/os-services?binary=nova-conductor", "2.53").body["services"][0]["id"]
    refused = api.put(f"/os-services/{conductor}", {"status": "disabled"}, user="admin", version="2.53")
    assert (refused.status, "Only nova-compute" in refused.body["badRequest"]["message"]) == (400, True)


def test_a_service_is_disabled_and_enabled_by_name_before_2_53(api: ComputeApi) -> None:
    which = {"host": "h1", "binary": "nova-compute"}

    def put(word: str, version: str = "2.11", **more: Any) -> Answer:
        return api.put(f"/os-services/{word}", {**which, **more}, user="admin", version=version)

    assert put("disable").body == {"service": {**which, "status": "disabled"}}
    assert put("disable-log-reason", disabled_reason="fan").body == {
        "service": {**which, "status": "disabled", "disabled_reason": "fan"}}
    assert put("enable").body == {"service": {**which, "status": "enabled"}}
    assert put("force-down", forced_down=True).body == {"service": {**which, "forced_down": True}}
    assert [put("burn").status, put("force-down").status, put("disable-log-reason").status, put("enable", host="h9").status,
            put("force-down", "2.10", forced_down=True).status] == [404, 400, 400, 404, 400]


@pytest.mark.parametrize(("path", "version", "closes", "opens"), [
    ("/os-services/{id}", "2.53", {"status": "disabled"}, {"status": "enabled"}),
    ("/os-services/{id}", "2.53", {"forced_down": True}, {"forced_down": False}),
    ("/os-services/disable", "2.1", {"host": "h1", "binary": "nova-compute"}, None),
    ("/os-services/disable-log-reason", "2.1", {"host": "h1", "binary": "nova-compute", "disabled_reason": "fan"}, None),
    ("/os-services/force-down", "2.11", {"host": "h1", "binary": "nova-compute", "forced_down": True},
     {"host": "h1", "binary": "nova-compute", "forced_down": False}),
    ("/os-hosts/h1", "2.1", {"status": "disable"}, {"status": "enable"}),
])
def test_no_claim_is_made_on_a_host_that_an_operator_has_closed(
    api: ComputeApi, path: str, version: str, closes: dict[str, Any], opens: dict[str, Any] | None,
) -> None:
    """Nor does it stay closed when its worker, which was in trouble meanwhile, has recovered."""
    path = path.replace("{id}", get(api, "/os-services?binary=nova-compute&host=h1", "2.53").body["services"][0]["id"])
    server_id = boot(api)

    def is_claimed() -> bool:
        taken: bool = api.change(lambda session: claims.take(
            session, server_id=server_id, host="h1", resources=Resources(vcpus=1), ratios=AllocationRatios()))
        return taken

    api.change(lambda session: hosts.beat(session, binary="nova-compute", agent="h1", trouble="libvirt is silent"))
    assert api.put(path, closes, user="admin", version=version).status == 200
    assert not is_claimed()
    if opens is None:
        path, opens = "/os-services/enable", {"host": "h1", "binary": "nova-compute"}
    assert api.put(path, opens, user="admin", version=version).status == 200
    api.change(lambda session: hosts.beat(session, binary="nova-compute", agent="h1"))
    assert is_claimed()


def test_a_service_is_deleted_with_its_empty_host(api: ComputeApi) -> None:
    settle(api, boot(api))
    first, second = (one["id"] for one in get(api, "/os-services?binary=nova-compute", "2.53").body["services"])
    assert api.delete(f"/os-services/{first}", user="admin", version="2.53").status == 409
    assert api.delete(f"/os-services/{second}", user="admin", version="2.53").status == 204
    assert [host["hypervisor_hostname"] for host in get(api, "/os-hypervisors").body["hypervisors"]] == ["h1"]


def test_zones_are_those_of_compute_workers(api: ComputeApi) -> None:
    silence(api, "h2", disabled=True)
    assert get(api, "/os-availability-zone", user="alice").body == {"availabilityZoneInfo": [
        {"zoneName": "east", "zoneState": {"available": False}, "hosts": None},
        {"zoneName": "nova", "zoneState": {"available": True}, "hosts": None}]}
    zones = {zone["zoneName"]: zone for zone in get(api, "/os-availability-zone/detail").body["availabilityZoneInfo"]}
    assert set(zones) == {"east", "nova", "internal"}
    worker = zones["east"]["hosts"]["h2"]["nova-compute"]
    assert (worker["active"], worker["available"]) == (False, True)


def test_limits_show_what_is_used(api: ComputeApi) -> None:
    boot(api)
    limits = get(api, "/limits", user="alice").body["limits"]
    assert limits["rate"] == []
    absolute = limits["absolute"]
    assert (absolute["maxTotalInstances"], absolute["totalInstancesUsed"], absolute["totalRAMUsed"]) == (10, 1, 64)
    assert get(api, f"/limits?tenant_id={ALICE}").body["limits"]["absolute"] == absolute
    assert get(api, f"/limits?tenant_id={ALICE}", user="bob").status == 403
    for version, gone in (("2.36", "maxSecurityGroups"), ("2.39", "maxImageMeta"), ("2.57", "maxPersonality")):
        before = f"2.{int(version.split('.')[1]) - 1}"
        assert gone in get(api, "/limits", before).body["limits"]["absolute"]
        assert gone not in get(api, "/limits", version).body["limits"]["absolute"]


def test_quotas_are_set_counted_against_and_reset(api: ComputeApi) -> None:
    path = f"/os-quota-sets/{ALICE}"
    boot(api)
    assert api.put(path, {"quota_set": {"instances": 3, "cores": "4"}}, user="admin").body["quota_set"]["cores"] == 4
    shown = get(api, path, user="alice").body["quota_set"]
    assert (shown["id"], shown["instances"], shown["cores"], shown["ram"]) == (ALICE, 3, 4, 51200)
    detail = get(api, f"{path}/detail", user="alice").body["quota_set"]
    assert detail["instances"] == {"limit": 3, "in_use": 1, "reserved": 0}
    assert get(api, f"{path}/defaults", user="bob").body["quota_set"]["instances"] == 10
    assert api.delete(path, user="admin").status == 202
    assert get(api, path).body["quota_set"]["instances"] == 10


@pytest.mark.parametrize(("limits", "version", "status"), [
    ({"instances": -2}, "2.1", 400), ({"instances": "x"}, "2.1", 400), ({"colour": 1}, "2.1", 400),
    ({"instances": 0}, "2.1", 400), ({"instances": 0, "force": True}, "2.1", 200), ({"instances": -1}, "2.1", 200),
    ({"security_groups": 5}, "2.35", 200), ({"security_groups": 5}, "2.36", 400), ({"injected_files": 0}, "2.57", 400),
    ({"floating_ips": 5}, "2.1", 200), ({"injected_files": 5}, "2.56", 200), ({"ram": "9" * 11}, "2.1", 400),
])
def test_a_quota_is_a_known_name_with_a_valid_limit(api: ComputeApi, limits: dict[str, Any], version: str, status: int) -> None:
    boot(api)
    assert api.put(f"/os-quota-sets/{ALICE}", {"quota_set": limits}, user="admin", version=version).status == status


def test_quotas_of_others_are_for_admins(api: ComputeApi) -> None:
    assert get(api, f"/os-quota-sets/{ALICE}", user="bob").status == 403
    assert get(api, f"/os-quota-sets/{ALICE}/detail", user="bob").status == 403
    assert api.put(f"/os-quota-sets/{ALICE}", {"quota_set": {"cores": 99}}).status == 403
    assert api.delete(f"/os-quota-sets/{ALICE}").status == 403


def test_a_user_has_limits_within_those_of_the_project(api: ComputeApi) -> None:
    path = f"/os-quota-sets/{ALICE}"
    boot(api)
    assert api.put(f"{path}?user_id=alice", {"quota_set": {"instances": 1}}, user="admin").body["quota_set"]["instances"] == 1
    assert api.post("/servers", {"server": compute_api.SERVER}).status == 403
    assert api.put(f"{path}?user_id=alice", {"quota_set": {"instances": 11}}, user="admin").status == 400
    assert api.put(f"{path}?user_id=alice", {"quota_set": {"instances": 0}}, user="admin").status == 400
    assert get(api, f"{path}?user_id=alice").body["quota_set"]["instances"] == 1
    detail = get(api, f"{path}/detail?user_id=alice").body["quota_set"]["instances"]
    assert detail == {"limit": 1, "in_use": 1, "reserved": 0}
    assert get(api, path).body["quota_set"]["instances"] == 10
    assert api.delete(f"{path}?user_id=alice", user="admin").status == 202
    assert api.post("/servers", {"server": compute_api.SERVER}).status == 202


def test_the_default_class_holds_for_projects_without_limits_of_their_own(api: ComputeApi) -> None:
    path = "/os-quota-class-sets/default"
    assert api.put(path, {"quota_class_set": {"instances": 1, "ram": "-1"}}, user="admin").body["quota_class_set"]["ram"] == -1
    assert get(api, path).body["quota_class_set"]["id"] == "default"
    assert get(api, f"/os-quota-sets/{ALICE}").body["quota_set"]["instances"] == 1
    assert get(api, f"/os-quota-sets/{ALICE}/defaults").body["quota_set"]["instances"] == 1
    boot(api)
    assert api.post("/servers", {"server": compute_api.SERVER}).status == 403
    assert api.put("/os-quota-class-sets/other", {"quota_class_set": {"instances": 5}}, user="admin").status == 200
    assert api.post("/servers", {"server": compute_api.SERVER}).status == 403
    api.put(f"/os-quota-sets/{ALICE}", {"quota_set": {"instances": 2}}, user="admin")
    assert api.post("/servers", {"server": compute_api.SERVER}).status == 202
    assert get(api, path, user="alice").status == 403
    assert api.put(path, {"quota_class_set": {"colour": 1}}, user="admin").status == 400


@pytest.mark.parametrize(("version", "has", "lacks"), [
    ("2.49", "fixed_ips", "server_groups"), ("2.50", "server_groups", "fixed_ips"), ("2.56", "injected_files", "fixed_ips"),
    ("2.57", "server_group_members", "injected_files")])
def test_a_quota_class_shows_what_its_version_has(api: ComputeApi, version: str, has: str, lacks: str) -> None:
    shown = get(api, "/os-quota-class-sets/default", version).body["quota_class_set"]
    assert has in shown
    assert lacks not in shown


def test_extensions_are_listed(api: ComputeApi) -> None:
    listed = get(api, "/extensions", user="alice").body["extensions"]
    aliases = [one["alias"] for one in listed]
    assert (len(set(aliases)), aliases) == (99, sorted(aliases))
    assert {"os-agents", "os-lock-server", "OS-SCH-HNT", "OS-EXT-IMG-SIZE"} <= set(aliases)
    assert not {"images", "image-metadata", "os-remote-consoles"} & set(aliases)
    assert all(one["description"] and one["namespace"] for one in listed)
    assert get(api, "/extensions/os-agents").body["extension"] == listed[aliases.index("os-agents")]
    assert get(api, "/extensions/nope").status == 404


def test_every_microversion_is_in_the_history_once() -> None:
    assert [version for version, _ in HISTORY] == [f"2.{minor}" for minor in range(1, len(HISTORY) + 1)]


@pytest.mark.parametrize(("version", "status"), [("2.1", 200), ("2.96", 200), ("latest", 200), ("2.0", 406), ("2.999", 406),
                                                 ("x", 400)])
def test_versions_are_negotiated(api: ComputeApi, version: str, status: int) -> None:
    assert get(api, "/flavors", version).status == status
