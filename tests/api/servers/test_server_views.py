# SPDX-License-Identifier: Apache-2.0
"""The server document at each microversion against the reference: no field missing, none too many."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from nova_lite.api.compute.microversions import HISTORY, MAXIMUM
from nova_lite.api.compute.servers.listing import QUERY
from nova_lite.api.wsgi.versions import parse
from nova_lite.db.base import utcnow
from nova_lite.db.compute.server_lists import SORT_COLUMNS
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi, boot, settle
from tests.support.api.users import PROJECTS

# Fields by the version they came with, and for whom: as the Compute API reference has them.
BASE = {
    "id", "name", "status", "tenant_id", "user_id", "metadata", "hostId", "image", "flavor", "created", "updated",
    "accessIPv4", "accessIPv6", "links", "progress", "OS-DCF:diskConfig"}
FULL = BASE | {
    "addresses", "key_name", "config_drive", "OS-EXT-AZ:availability_zone", "OS-EXT-STS:task_state",
    "OS-EXT-STS:vm_state", "OS-EXT-STS:power_state", "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at",
    "security_groups", "os-extended-volumes:volumes_attached"}
ADMINS = {"OS-EXT-SRV-ATTR:host", "OS-EXT-SRV-ATTR:hypervisor_hostname", "OS-EXT-SRV-ATTR:instance_name"}
ADMINS_SINCE = {
    "2.3": {f"OS-EXT-SRV-ATTR:{name}" for name in (
        "hostname", "reservation_id", "launch_index", "kernel_id", "ramdisk_id", "root_device_name", "user_data")},
    "2.16": {"host_status"}}
SINCE = {
    "2.9": {"locked"}, "2.19": {"description"}, "2.26": {"tags"}, "2.63": {"trusted_image_certificates"},
    "2.73": {"locked_reason"}, "2.96": {"pinned_availability_zone"}, "2.100": {"scheduler_hints"}}
GROUPS_SINCE, HOSTNAME_SINCE, WHOLE_UPDATE_SINCE = "2.71", "2.90", "2.75"
CHANGES = {*SINCE, *ADMINS_SINCE, GROUPS_SINCE, HOSTNAME_SINCE, WHOLE_UPDATE_SINCE, "2.47", "2.69", "2.98"}
# Each version that changed something, the one before it, and both ends.
VERSIONS = [version for number, (version, _) in enumerate(HISTORY) if parse(version) <= parse(MAXIMUM) and (
    {version, HISTORY[min(number + 1, len(HISTORY) - 1)][0]} & {*CHANGES, "2.1", MAXIMUM})]


def expected(version: str, *, is_admin: bool, kind: str) -> set[str]:
    now = parse(version)

    def came(table: dict[str, set[str]]) -> set[str]:
        return {field for since, fields in table.items() if parse(since) <= now for field in fields}

    is_whole = kind != "update" or now >= parse(WHOLE_UPDATE_SINCE)
    found = (FULL if is_whole else BASE | {"addresses"}) | came(SINCE)
    if kind != "detail" and now >= parse(GROUPS_SINCE):
        found |= {"server_groups"}
    if is_whole and is_admin:
        found |= ADMINS | came(ADMINS_SINCE)
    if is_whole and now >= parse(HOSTNAME_SINCE):
        found |= {"OS-EXT-SRV-ATTR:hostname"}
    return found


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path_factory.mktemp("views")))
    api.add(*compute_api.host("h1"))
    return api


@pytest.fixture(scope="module")
def server_id(api: ComputeApi) -> str:
    new_id = boot(api)
    settle(api, new_id, launched_at=utcnow(), availability_zone="nova")
    return new_id


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("user", ["alice", "admin"])
def test_each_view_has_the_fields_of_the_reference(api: ComputeApi, server_id: str, version: str, user: str) -> None:
    more = {"user": user, "version": version}
    shown = {
        "show": api.get(f"/servers/{server_id}", **more).body["server"],
        "detail": api.get("/servers/detail?all_tenants=1" if user == "admin" else "/servers/detail", **more).body["servers"][0],
        "update": api.put(f"/servers/{server_id}", {"server": {"name": "vm"}}, **more).body["server"]}
    for kind, document in shown.items():
        assert set(document) == expected(version, is_admin=user == "admin", kind=kind), kind
        assert set(document["flavor"]) == ({"id", "links"} if parse(version) < parse("2.47") else {
            "vcpus", "ram", "disk", "ephemeral", "swap", "original_name", "extra_specs"})
        assert set(document["image"]) == {"id", "links"} | ({"properties"} if parse(version) >= parse("2.98") else set())


@pytest.mark.parametrize("version", VERSIONS)
def test_the_short_view_is_the_same_at_every_version(api: ComputeApi, server_id: str, version: str) -> None:
    assert [set(one) for one in api.get("/servers", version=version).body["servers"]] == [{"id", "name", "links"}]


@pytest.mark.parametrize("key", sorted(set(SORT_COLUMNS) - {"locked"}))
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_every_sort_key_orders_and_pages(api: ComputeApi, server_id: str, key: str, direction: str) -> None:
    query = f"sort_key={key}&sort_dir={direction}&all_tenants=1"
    assert api.get(f"/servers?{query}", user="admin").status == 200
    assert api.get(f"/servers?{query}&limit=1&marker={server_id}", user="admin").body["servers"] == []


# A value that selects the server, and one that does not; None: every value is one that filters nothing.
FILTERS: dict[str, tuple[str, str] | None] = {
    "availability_zone": ("nova", "west"), "config_drive": ("false", "true"), "deleted": ("false", "true"),
    "flavor": ("1", "2"), "host": ("h1", "h2"), "hostname": ("vm", "other"), "image": (compute_api.IMAGE, "x"),
    "image_ref": (compute_api.IMAGE, "x"), "ip": ("10.0", "10.9"), "ip6": ("10.0", "fe80"), "launch_index": ("0", "1"),
    "name": ("v", "x"), "display_name": ("v", "x"), "node": ("h1", "h2"), "power_state": ("1", "4"),
    "progress": ("0", "5"), "project_id": (PROJECTS["alice"], "x"),
    "tenant_id": (PROJECTS["alice"], "x"), "status": ("ACTIVE", "SHUTOFF"), "task_state": ("none", "pausing"),
    "user_id": ("alice", "bob"), "vm_state": ("active", "stopped"), "locked": ("false", "true"),
    "auto_disk_config": ("MANUAL", "AUTO"), "root_device_name": ("/dev/vda", "/dev/sda"),
    "changes-since": ("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"),
    "changes-before": ("2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"),
    "not-tags": ("a", ""), "not-tags-any": ("a", ""), "tags": ("", "a"), "tags-any": ("", "a"),
    **dict.fromkeys(("block_device_mapping", "info_cache", "metadata", "pci_devices", "security_groups", "services",
                     "system_metadata", "kernel_id", "ramdisk_id", "soft_deleted", "all_tenants")),
}


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_filter_selects(api: ComputeApi, server_id: str, name: str) -> None:
    hit, miss = FILTERS[name] or ("1", "")
    assert name in QUERY["2.75"]["properties"]
    response = api.get(f"/servers?all_tenants=1&{name}={hit}", user="admin", version="2.75")
    assert (response.status, [one["id"] for one in response.body["servers"]]) == (200, [server_id])
    if miss:
        response = api.get(f"/servers?all_tenants=1&{name}={miss}", user="admin", version="2.75")
        assert (response.status, response.body["servers"]) == (200, [])


def test_changes_since_after_changes_before_is_refused(api: ComputeApi) -> None:
    query = "changes-since=2021-01-01T00:00:00Z&changes-before=2020-01-01T00:00:00Z"
    assert api.get(f"/servers?{query}", version="2.66").status == 400


@pytest.mark.parametrize(("query", "version", "status"), [
    ("bogus=1", "2.74", 200), ("bogus=1", "2.75", 400), ("status=BOGUS", "2.37", 200), ("status=BOGUS", "2.38", 400),
    ("sort_key=bogus", "2.1", 400), ("sort_dir=up", "2.1", 400), ("limit=-1", "2.1", 400), ("limit=x", "2.1", 400),
    ("marker=none", "2.1", 400), ("changes-since=x", "2.1", 400), ("sort_key=locked", "2.72", 400),
    ("sort_key=locked", "2.73", 200), ("deleted=x", "2.1", 200), ("all_tenants=x", "2.1", 400),
])
def test_a_query_is_checked_by_version(api: ComputeApi, query: str, version: str, status: int) -> None:
    assert api.get(f"/servers?{query}", version=version).status == status


def test_a_policy_file_decides_which_fields_a_caller_sees(tmp_path: Path) -> None:
    Path(tmp_path, "policy.yaml").write_text(
        "os_compute_api:os-extended-server-attributes: role:reader\n"
        "os_compute_api:servers:show:flavor-extra-specs: role:admin\n")
    api = compute_api.furnish(compute_api.make(tmp_path))
    new_id = boot(api)
    settle(api, new_id)
    shown: dict[str, Any] = api.get(f"/servers/{new_id}", version="2.50").body["server"]
    assert shown["OS-EXT-SRV-ATTR:host"] == "h1"
    assert "extra_specs" not in shown["flavor"]
    assert "host_status" not in shown


def test_a_policy_can_show_only_unknown_host_status(tmp_path: Path) -> None:
    Path(tmp_path, "policy.yaml").write_text("os_compute_api:servers:show:host_status:unknown-only: role:reader\n")
    api = compute_api.furnish(compute_api.make(tmp_path))
    host, service = compute_api.host("h1")
    api.add(host, service)
    new_id = boot(api)
    settle(api, new_id)
    assert "host_status" not in api.get(f"/servers/{new_id}", version="2.16").body["server"]
    api.change(lambda session: session.merge(service).__setattr__("seen_at", utcnow() - datetime.timedelta(hours=1)))
    assert api.get(f"/servers/{new_id}", version="2.16").body["server"]["host_status"] == "UNKNOWN"
