# SPDX-License-Identifier: Apache-2.0
"""Every route of every API service, requested by bob for alice's resources: he reads nothing of them and changes nothing."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.api.services import SERVICES
from nova_lite.api.volume import microversions as volume
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import ADMIN, PUBLIC
from nova_lite.db.volume import messages
from nova_lite.db.volume.attachments import Attachment
from nova_lite.db.volume.backups import VolumeBackup
from nova_lite.db.volume.groups import GroupSnapshot, VolumeGroup
from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.transfers import VolumeTransfer
from nova_lite.db.volume.volumes import Volume
from nova_lite.lifecycle.volume_messages import MessageAction, MessageDetail, MessageSubject
from tests.support.api.paste_cloud import NEWEST, PasteCloud, Who

ROOTS = {"compute": "/v2.1", "identity": "/identity/v3", "image": "/image/v2", "network": "/network/v2.0",
         "volume": "/volume/v3"}
NEWEST_OF = {"volume": volume.MAXIMUM}
WALK = [(name, route, version) for name, service in SERVICES.items() for route in service.routes
        for version in sorted({str(route.versions.since), str(route.versions.until or NEWEST_OF.get(name, NEWEST))})]
IDS = [f"{service} {route.method} {route.path} {route.action or ''} {version}" for service, route, version in WALK]
# Resources without an owner, which every user may read.
SHARED = {
    "compute GET /extensions/{alias}", "volume GET /extensions/{alias}", "network GET /extensions/{alias}", "identity GET /regions/{region_id}",
    "identity GET /domains/{domain_id}", "volume GET /group_types/{group_type_id}", "compute GET /os-quota-sets/{project_id}/defaults", "network GET /quotas/{project_id}/default",
}
# Always empty in this cloud: alice has none of these either.
EMPTY = {"network GET /subnetpools/{pool_id}", "compute GET /servers/{server_id}/os-volume_attachments/{volume_id}",
         "compute GET /os-volumes/{volume_id}", "compute GET /os-snapshots/{snapshot_id}",
         "compute GET /servers/{server_id}/shares/{share_id}",
         "volume GET /volumes/{volume_id}/encryption/{key}",  # of another name
         "network GET /agents/{agent_id}"}  # an operator's: to others it does not exist
# Refused by this cloud at every version.
ABSENT = {
    "compute DELETE /os-baremetal-nodes/{node_id}",
    "compute POST /os-baremetal-nodes/{node_id}/action",
}
# Offered to whom has the key: a wrong one is refused as such.
KEYED = {"volume POST /os-volume-transfer/{transfer_id}/accept", "volume POST /volume-transfers/{transfer_id}/accept"}
# PostgreSQL and MariaDB lock quotas by counting in the row of a project or user; of bob's own that is no change.
LOCKS = "quota_locks"
# For operators only, whatever the rule's role: the handler decides by the query.
OPERATORS = {"identity GET /role_assignments", "compute GET /os-migrations", "compute GET /servers/{server_id}/migrations"}


@dataclasses.dataclass
class Stage:
    """`values`: alice's value of each path variable; `secrets`: words that no response to bob may contain."""

    cloud: PasteCloud
    alice: Who
    bob: Who
    values: dict[str, str]
    secrets: set[str]

    def fill(self, service: str, path: str) -> str:
        """The path with alice's ids. :raises KeyError: a variable without a value here."""
        return re.sub(r"{(\w+)}", lambda found: self.values.get(f"{service} {found[1]}") or self.values[found[1]], path)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cloud = PasteCloud(tmp_path_factory.mktemp("isolation"))
    alice, bob = cloud.add_member("alice"), cloud.add_member("bob")
    values = _furnish(cloud, alice)
    mine = {value for name, value in values.items() if name.split()[-1] not in (
        "alias", "gone_id", "gone_domain", "region_id", "domain_id", "role_id", "service_id", "endpoint_id", "pattern", "hypervisor_id", "agent_id", "migration_id", "before", "key", "aggregate_id", "node_id", "host_name", "class_name", "share_id", "token",
        "pool_id", "volume_id", "snapshot_id", "specs_id", "encryption_id", "group_type_id")}
    yield Stage(cloud, alice, bob, values, mine | {"alices-meta", "alices-server", "alices-volume", "alices-snapshot", "alices-transfer", "alices-group-snapshot", "alices-backup"})
    cloud.close()


def _furnish(cloud: PasteCloud, alice: Who) -> dict[str, str]:
    """One of each resource, owned by alice."""
    admin = cloud.admin.token

    def made(path: str, body: Any, *, token: str = alice.token) -> Any:
        return cloud.made(path, body, token=token)

    flavor = made("/v2.1/flavors", {"flavor": {"name": "alices-flavor", "ram": 64, "vcpus": 1, "disk": 1,
                                               "os-flavor-access:is_public": False}}, token=admin)["id"]
    made(f"/v2.1/flavors/{flavor}/action", {"addTenantAccess": {"tenant": alice.project_id}}, token=admin)
    made(f"/v2.1/flavors/{flavor}/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared"}}, token=admin)
    network = made("/network/v2.0/networks", {"network": {"name": "alices-network"}})["id"]
    subnet = made("/network/v2.0/subnets", {"subnet": {"network_id": network, "cidr": "10.1.0.0/24", "ip_version": 4}})["id"]
    group = made("/network/v2.0/security-groups", {"security_group": {"name": "alices-group"}})["id"]
    rule = made("/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": group, "direction": "ingress", "protocol": "icmp", "ethertype": "IPv4"}})["id"]
    made("/v2.1/os-keypairs", {"keypair": {"name": "alices-key", "type": "ssh", "public_key": _PUBLIC_KEY}})
    image = made("/image/v2/images", {"name": "alices-image", "disk_format": "raw", "container_format": "bare",
                                      "visibility": "private", "tags": ["alices-tag"], "hw:cpu_policy": "alices-meta"})["id"]
    cloud.request("PUT", f"/image/v2/images/{image}/file", b"alices bytes", token=alice.token,
              headers={"Content-Type": "application/octet-stream"})
    server = made("/v2.1/servers", {"server": {
        "name": "alices-server", "flavorRef": flavor, "imageRef": image, "networks": [{"uuid": network}],
        "metadata": {"hw:cpu_policy": "alices-meta"}, "tags": ["alices-tag"]}})["id"]
    cloud.settle(server)
    action = cloud.request("GET", f"/v2.1/servers/{server}/os-instance-actions", token=alice.token).json["instanceActions"][0]
    port = cloud.request("GET", f"/network/v2.0/ports?device_id={server}", token=alice.token).json["ports"][0]["id"]
    cloud.request("PUT", f"/identity/v3/projects/{alice.project_id}/tags/alices-tag", token=admin)
    credential = made(f"/identity/v3/users/{alice.user_id}/application_credentials", {"application_credential": {"name": "alices-ci"}})["id"]
    shared = _operators(cloud)
    server_group = made("/v2.1/os-server-groups", {"server_group": {"name": "alices-group", "policy": "affinity"}})["id"]
    aggregate = made("/v2.1/os-aggregates", {"aggregate": {"name": "racks"}}, token=admin)["id"]
    outside = made("/network/v2.0/networks", {"network": {"name": "outside", "router:external": True}}, token=admin)["id"]
    made("/network/v2.0/subnets", {"subnet": {"network_id": outside, "cidr": "172.24.4.0/24", "ip_version": 4}}, token=admin)
    router = made("/network/v2.0/routers", {"router": {"name": "alices-router"}})["id"]
    floating = made("/network/v2.0/floatingips", {"floatingip": {"floating_network_id": outside}})["id"]
    for path in (f"networks/{network}", f"subnets/{subnet}", f"ports/{port}", f"security-groups/{group}", f"routers/{router}",
                 f"floatingips/{floating}"):
        cloud.request("PUT", f"/network/v2.0/{path}/tags/alices-tag", token=alice.token)
    volume_type = made("/volume/v3/types", {"volume_type": {
        "name": "alices-type", "os-volume-type-access:is_public": False, "extra_specs": {"multiattach": "<is> True"}}}, token=admin)["id"]
    cloud.request("POST", f"/volume/v3/types/{volume_type}/action", {"addProjectAccess": {"project": alice.project_id}}, token=admin)
    group_type = cloud.made("/volume/v3/group_types", {"group_type": {"name": "racks"}}, token=admin, version="3.11")["id"]
    with cloud.database.writer() as session:
        message = messages.add(session, cloud.conf, project_id=alice.project_id, request_id="alices-request", subject=MessageSubject.VOLUME,
                               resource_id=network, action=MessageAction.SCHEDULE, detail=MessageDetail.NO_BACKEND)
        message_id = message.id
        session.add_all([
            Volume(id=_VOLUME, project_id=alice.project_id, user_id=alice.user_id, name="alices-volume", size_gb=1, status="available",
                   provider_name="v", metadata_items={"multiattach": "alices-meta"}),
            VolumeSnapshot(id=_SNAPSHOT, volume_id=_VOLUME, project_id=alice.project_id, user_id=alice.user_id, name="alices-snapshot", size_gb=1,
                           status="available", provider_name="s", metadata_items={"multiattach": "alices-meta"}),
            Attachment(id=_ATTACHMENT, project_id=alice.project_id, volume_id=_VOLUME),
            VolumeTransfer(id=_TRANSFER, project_id=alice.project_id, user_id=alice.user_id, volume_id=_VOLUME, name="alices-transfer", salt="s",
                           key_hash="h"),
            VolumeBackup(id=_BACKUP, project_id=alice.project_id, user_id=alice.user_id, volume_id=_VOLUME, name="alices-backup", size_gb=1,
                         status="available"),
            VolumeGroup(id=_GROUP, project_id=alice.project_id, user_id=alice.user_id, name="alices-group", group_type_id=group_type,
                        volume_type_ids=[volume_type]),
            GroupSnapshot(id=_GROUP_SNAPSHOT, group_id=_GROUP, project_id=alice.project_id, user_id=alice.user_id, name="alices-group-snapshot",
                          group_type_id=group_type)])
    return shared | {
        "volume group_id": _GROUP, "group_snapshot_id": _GROUP_SNAPSHOT, "group_type_id": group_type,
        "volume volume_id": _VOLUME, "volume snapshot_id": _SNAPSHOT, "attachment_id": _ATTACHMENT, "transfer_id": _TRANSFER, "backup_id": _BACKUP,
        "message_id": message_id, "volume alias": "os-hosts", "volume type_id": volume_type, "volume key": "multiattach", "specs_id": "66666666-6666-4666-8666-666666666666",
        "encryption_id": "66666666-6666-4666-8666-666666666666",
        "credential_id": credential, "router_id": router, "floating_ip_id": floating,
        "node_id": "1", "token": "no-such-token", "share_id": "66666666-6666-4666-8666-666666666666", "migration_id": "1", "before": "2026-03-10%2012:00:00", "host_name": "h1", "class_name": "default", "compute key": "hw:cpu_policy",
        "server_group_id": server_group, "aggregate_id": str(aggregate),
        "server_id": server, "flavor_id": flavor, "network_id": network, "subnet_id": subnet, "group_id": group,
        "rule_id": rule, "image_id": image, "port_id": port, "request_id": action["request_id"], "name": "alices-key",
        "tag": "alices-tag", "key": "hw:cpu_policy", "network": "alices-network", "project_id": alice.project_id,
        "user_id": alice.user_id,
    }


def _operators(cloud: PasteCloud) -> dict[str, str]:
    """Resources that only operators, or all users, may see."""
    def first(path: str, key: str) -> str:
        return str(cloud.request("GET", path, token=cloud.admin.token).json[key][0]["id"])

    return {
        "role_id": first("/identity/v3/roles", "roles"), "domain_id": "default", "region_id": "RegionOne",
        "identity service_id": first("/identity/v3/services", "services"), "alias": "os-keypairs", "network alias": "security-group",
        "endpoint_id": first("/identity/v3/endpoints", "endpoints"), "service_id": first("/v2.1/os-services", "services"),
        "hypervisor_id": first("/v2.1/os-hypervisors", "hypervisors"), "pattern": "h1",
        **dict.fromkeys(("agent_id", "gone_id", "gone_domain", "pool_id", "volume_id", "snapshot_id"), "11111111-2222-4333-8444-555555555555"),
    }


_VOLUME, _SNAPSHOT, _ATTACHMENT, _TRANSFER, _GROUP, _GROUP_SNAPSHOT, _BACKUP = (f"77777777-7777-4777-8777-77777777777{number}" for number in range(1, 8))
_PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZ2CtG8TGSuSoIpVY3oPqg50vXnKy8OswhqH9n2u20P alice@cloud"


def _body(stage: Stage, service: str, route: Route) -> Any:
    """A valid body of the route, naming alice's resources where possible. :raises KeyError: a route without a body here."""
    if route.policy.role == ADMIN:
        return {route.action: None} if route.action else {}
    if route.action:
        return {route.action: _ACTIONS.get(route.action)} if route.action in (*_ACTIONS, *_BARE_ACTIONS) else _unknown(service, route)
    value, alice = stage.values, stage.alice
    bodies = {
        "compute POST /servers": {"server": {"name": "b", "flavorRef": value["flavor_id"], "imageRef": value["image_id"],
                                             "networks": [{"uuid": value["network_id"]}]}},
        "compute PUT /servers/{server_id}": {"server": {"name": "bobs"}},
        "compute POST /servers/{server_id}/metadata": {"metadata": {"a": "b"}},
        "compute PUT /servers/{server_id}/metadata": {"metadata": {"a": "b"}},
        "compute PUT /servers/{server_id}/metadata/{key}": {"meta": {"hw:cpu_policy": "b"}},
        "compute PUT /servers/{server_id}/tags": {"tags": ["b"]},
        "compute POST /images/{image_id}/metadata": {"metadata": {"a": "b"}},
        "compute PUT /images/{image_id}/metadata": {"metadata": {"a": "b"}},
        "compute PUT /images/{image_id}/metadata/{key}": {"meta": {"hw:cpu_policy": "b"}},
        "compute POST /servers/{server_id}/os-interface": {"interfaceAttachment": {}},
        "compute POST /os-security-groups": {"security_group": {"name": "b", "description": "b"}},
        "compute PUT /os-security-groups/{group_id}": {"security_group": {"name": "b", "description": "b"}},
        "compute POST /os-security-group-rules": {"security_group_rule": {
            "parent_group_id": value["group_id"], "ip_protocol": "tcp", "from_port": 1, "to_port": 2}},
        "compute POST /os-server-external-events": {"events": [{"name": "network-changed", "server_uuid": value["server_id"]}]},
        "compute POST /servers/{server_id}/shares": {"share": {"share_id": "66666666-6666-4666-8666-666666666666"}},
        "compute POST /os-volumes": {"volume": {"size": 1}},
        "compute POST /os-snapshots": {"snapshot": {"volume_id": "66666666-6666-4666-8666-666666666666"}},
        "compute POST /os-assisted-volume-snapshots": {"snapshot": {"volume_id": "66666666-6666-4666-8666-666666666666", "create_info": {
            "snapshot_id": "s", "type": "qcow2", "new_file": "f"}}},
        "compute POST /servers/{server_id}/os-volume_attachments": {"volumeAttachment": {"volumeId": value["volume_id"]}},
        "compute PUT /servers/{server_id}/os-volume_attachments/{volume_id}": {"volumeAttachment": {"volumeId": value["volume_id"]}},
        "compute POST /servers/{server_id}/remote-consoles": {"remote_console": {"protocol": "vnc", "type": "novnc"}},
        "compute POST /os-server-groups": {"server_group": {"name": "bobs", "policy": "affinity"}},
        "compute POST /os-keypairs": {"keypair": {"name": f"bobs-{uuid.uuid4()}", "public_key": _PUBLIC_KEY}},
        "identity POST /auth/tokens": {"auth": {
            "identity": {"methods": ["token"], "token": {"id": stage.bob.token}}, "scope": {"project": {"id": alice.project_id}}}},
        "identity POST /users/{user_id}/password": {"user": {"original_password": "alice secret?", "password": "b"}},
        "identity POST /users/{user_id}/application_credentials": {"application_credential": {"name": "b"}},
        "image POST /images": {"name": "b", "disk_format": "raw", "container_format": "bare", "owner": alice.project_id},
        "network POST /networks": {"network": {"name": "b", "project_id": alice.project_id}},
        "network PUT /networks/{network_id}": {"network": {"name": "b"}},
        "network POST /subnets": {"subnet": {"network_id": value["network_id"], "cidr": "10.9.0.0/24", "ip_version": 4}},
        "network PUT /subnets/{subnet_id}": {"subnet": {"name": "b"}},
        "network POST /floatingips": {"floatingip": {"floating_network_id": value["network_id"]}},
        "network PUT /floatingips/{floating_ip_id}": {"floatingip": {"port_id": None}},
        "network POST /routers": {"router": {"name": "b", "project_id": alice.project_id}},
        "network PUT /routers/{router_id}": {"router": {"name": "b"}},
        "network PUT /routers/{router_id}/add_router_interface": {"subnet_id": value["subnet_id"]},
        "network PUT /routers/{router_id}/remove_router_interface": {"subnet_id": value["subnet_id"]},
        "compute POST /os-floating-ips": {"pool": "alices-network"},
        "network POST /ports": {"port": {"network_id": value["network_id"]}},
        "network PUT /ports/{port_id}": {"port": {"name": "b"}},
        "network POST /security-groups": {"security_group": {"name": "b", "project_id": alice.project_id}},
        "network PUT /security-groups/{group_id}": {"security_group": {"name": "b"}},
        "network POST /security-group-rules": {"security_group_rule": {
            "security_group_id": value["group_id"], "direction": "ingress", "protocol": "tcp", "ethertype": "IPv4"}},
    }
    if service == "volume":
        return _volume_body(stage, route)
    if service == "network" and route.path.endswith("/tags"):
        return {"tags": ["b"]}
    return bodies[f"{service} {route.method} {route.path}"]


def _volume_body(stage: Stage, route: Route) -> Any:
    value = stage.values
    if route.path.endswith("/metadata"):
        return {"metadata": {"a": "b"}}
    if route.path.endswith("/metadata/{key}"):
        return {"meta": {value["volume key"]: "b"}}
    if route.path.endswith("/accept"):
        return {"accept": {"auth_key": "b"}}
    bodies = {
        **dict.fromkeys(("POST /os-volume-transfer", "POST /volume-transfers"), {"transfer": {"volume_id": _VOLUME}}),
        "POST /backups": {"backup": {"volume_id": _VOLUME}},
        "PUT /backups/{backup_id}": {"backup": {"name": "bobs"}},
        "POST /backups/{backup_id}/restore": {"restore": {}},
        "POST /volumes": {"volume": {"size": 1, "source_volid": _VOLUME}},
        "PUT /volumes/{volume_id}": {"volume": {"name": "bobs"}},
        "POST /snapshots": {"snapshot": {"volume_id": _VOLUME}},
        "PUT /snapshots/{snapshot_id}": {"snapshot": {"name": "bobs"}},
        "POST /groups": {"group": {"group_type": "racks", "volume_types": [value["volume type_id"]]}},
        "PUT /groups/{group_id}": {"group": {"name": "bobs"}},
        "POST /group_snapshots": {"group_snapshot": {"group_id": _GROUP}},
        "PUT /group_snapshots/{group_snapshot_id}": {"group_snapshot": {"name": "bobs"}},
        "POST /attachments": {"attachment": {"volume_uuid": _VOLUME}},
        "PUT /attachments/{attachment_id}": {"attachment": {"connector": {"host": "b"}}},
    }
    return bodies[f"{route.method} {route.path}"]


_BARE_ACTIONS = ("forceDelete", "os-start", "os-stop", "pause", "unpause", "suspend", "resume", "lock", "unlock", "unrescue",
                 "add_interface", "remove_interface", "restore", "trigger_crash_dump", "resetNetwork", "shelve", "unshelve",
                 "confirmResize", "revertResize", "migrate", "os-migrateLive", "force_complete")
_ACTIONS = {"os-getVNCConsole": {"type": "novnc"}, "os-getSPICEConsole": {"type": "spice-html5"},
            "os-getSerialConsole": {"type": "serial"}, "os-getRDPConsole": {"type": "rdp-html5"},
            "reboot": {"type": "HARD"}, "createImage": {"name": "b"}, "rescue": None,
            "createBackup": {"name": "b", "backup_type": "daily", "rotation": 1},
            "rebuild": {"imageRef": "00000000-0000-4000-8000-000000000001"}, "resize": {"flavorRef": "1"}, "os-getConsoleOutput": {}, "changePassword": {"adminPass": "b"},
            "addFloatingIp": {"address": "172.24.4.9"}, "removeFloatingIp": {"address": "172.24.4.9"},
            "addSecurityGroup": {"name": "default"}, "removeSecurityGroup": {"name": "default"},
            "reserve": None, "unreserve": None, **dict.fromkeys(
                ("disassociate", "disassociate_host", "disassociate_project", "associate_host")),
            "create-from-src": {"source_group_id": _GROUP}, "delete": {"delete-volumes": True}, **dict.fromkeys(
                ("enable_replication", "disable_replication", "failover_replication", "list_replication_targets"), {}),
            "os-extend": {"new_size": 9}, "os-set_bootable": {"bootable": True}, "os-update_readonly_flag": {"readonly": True},
            "os-show_image_metadata": {}, "os-set_image_metadata": {"metadata": {"a": "b"}}, "os-unset_image_metadata": {"key": "a"},
            "os-volume_upload_image": {"image_name": "b"}, "revert": {"snapshot_id": "b"}, "os-attach": {"mountpoint": "b", "host_name": "b"},
            "os-update_snapshot_status": {"status": "error"}, "os-initialize_connection": {"connector": {"host": "b"}},
            "os-terminate_connection": {"connector": None}, "os-retype": {"new_type": "b"}, "os-reimage": {"image_id": "00000000-0000-4000-8000-000000000001"}, **dict.fromkeys(
                ("os-detach", "os-reserve", "os-unreserve", "os-begin_detaching", "os-roll_detaching", "os-complete"), {}),
            "addFixedIp": {"networkId": "b"}, "removeFixedIp": {"address": "10.1.0.2"}}
_RAW = {"image PATCH /images/{image_id}": (b'[{"op": "replace", "path": "/name", "value": "b"}]',
                                           "application/openstack-images-v2.1-json-patch"),
        "image PUT /images/{image_id}/file": (b"bobs bytes", "application/octet-stream")}


def _unknown(service: str, route: Route) -> None:
    raise KeyError(f"{service} {route.action}: add its body to this test")


def _request(stage: Stage, service: str, route: Route, version: str, who: Who) -> Any:
    version = {"volume": "3.0"}.get(service, "2.1") if version == "2.0" else version
    headers = {"X-Subject-Token": stage.alice.token} if route.path == "/auth/tokens" else {}
    body: Any = None
    if route.raw_body:
        body, headers["Content-Type"] = _RAW[f"{service} {route.method} {route.path}"]
    elif route.schemas or route.action:
        body = _body(stage, service, route)
    return stage.cloud.request(route.method, ROOTS[service] + stage.fill(service, route.path), body, token=who.token,
                           version=version, headers=headers)


@pytest.mark.parametrize(("service", "route", "version"), WALK, ids=IDS)
def test_another_tenant_sees_and_changes_nothing(stage: Stage, service: str, route: Route, version: str) -> None:
    before = stage.cloud.rows() if route.method not in ("GET", "HEAD") else {}
    answer = _request(stage, service, route, version, stage.bob)
    key = f"{service} {route.method} {route.path}"
    if answer.status_int < 300:
        assert key in SHARED or "{" not in route.path, f"{key} was answered: {answer.text[:300]}"
        leaked = {secret for secret in stage.secrets if secret in answer.text} if key not in SHARED else set()
        assert not leaked, f"{key} shows {leaked}"
    else:
        expected = {403, 404} if "{" in route.path else {400, 401, 403, 404}
        expected |= {401} if route.policy is PUBLIC else set()  # another proof than the token is wrong
        expected |= {400, 501} if key in ABSENT else set()
        expected |= {400} if key in KEYED else set()
        expected |= {410} if route.status == 410 else set()  # removed for all
        assert answer.status_int in expected, f"{answer.status_int} {answer.text[:300]}"
    if before:
        after = stage.cloud.rows()
        changed = {(table, row) for table, rows in before.items() for row in rows - after[table]}
        assert not {(table, row) for table, row in changed if table != LOCKS or not row.startswith((f"('{stage.bob.project_id}'", f"('{stage.bob.user_id}'"))}


READABLE = [one for one in zip(WALK, IDS, strict=True)
            if one[0][1].method == "GET" and one[0][1].status != 410 and one[0][1].policy is not PUBLIC and one[0][1].policy.role != ADMIN and one[0][1].status != 410]


@pytest.mark.parametrize(("service", "route", "version"), [one for one, _ in READABLE], ids=[name for _, name in READABLE])
def test_its_owner_sees_it(stage: Stage, service: str, route: Route, version: str) -> None:
    """So that a 404 above is because of the caller, not because of a wrong request."""
    answer = _request(stage, service, route, version, stage.alice)
    key = f"{service} {route.method} {route.path}"
    expected = {404} if key in EMPTY else {403} if key in OPERATORS else {200, 204}
    assert answer.status_int in expected, answer.text


QUERIES = (
    "/v2.1/servers/detail?all_tenants=1", "/v2.1/servers?project_id={project_id}", "/v2.1/servers/detail?all_tenants=1&tenant_id={project_id}",
    "/v2.1/servers/detail?user_id={user_id}", "/v2.1/servers?uuid={server_id}", "/v2.1/servers?marker={server_id}",
    "/v2.1/servers?ip=10.1.0", "/v2.1/servers?deleted=true", "/v2.1/os-keypairs?user_id={user_id}", "/v2.1/limits?tenant_id={project_id}",
    "/v2.1/os-keypairs/{name}?user_id={user_id}", "/v2.1/flavors/detail?is_public=None", "/v2.1/flavors?is_public=false",
    "/v2.1/os-quota-sets/{project_id}?user_id={user_id}",
    "/volume/v3/volumes/detail?all_tenants=1", "/volume/v3/volumes?project_id={project_id}", "/volume/v3/volumes?name=alices-volume",
    "/volume/v3/volumes/summary?all_tenants=1", "/volume/v3/snapshots/detail?all_tenants=1", "/volume/v3/snapshots?volume_id={volume volume_id}",
    "/volume/v3/volumes?marker={volume volume_id}", "/volume/v3/snapshots?marker={volume snapshot_id}",
    "/volume/v3/volumes?group_id={volume group_id}",
    "/volume/v3/backups/detail?all_tenants=1", "/volume/v3/backups?volume_id={volume volume_id}", "/volume/v3/os-volume-transfer/detail",
    "/volume/v3/types?is_public=None", "/volume/v3/types?is_public=false", "/volume/v3/limits?project_id={project_id}",
    "/network/v2.0/networks?project_id={project_id}", "/network/v2.0/networks?id={network_id}", "/network/v2.0/networks?marker={network_id}",
    "/network/v2.0/subnets?network_id={network_id}", "/network/v2.0/ports?device_id={server_id}", "/network/v2.0/ports?id={port_id}",
    "/network/v2.0/security-groups?tenant_id={project_id}", "/network/v2.0/security-group-rules?security_group_id={group_id}",
    "/image/v2/images?owner={project_id}", "/image/v2/images?visibility=all", "/image/v2/images?marker={image_id}",
    "/image/v2/images?name=alices-image", "/image/v2/images?tag=alices-tag", "/image/v2/images?member_status=all&visibility=shared",
    "/identity/v3/role_assignments?user.id={user_id}", "/identity/v3/role_assignments?scope.project.id={project_id}",
    "/identity/v3/projects?name=alice", "/identity/v3/auth/projects",
)


@pytest.mark.parametrize("query", QUERIES)
def test_no_query_finds_another_tenants_resources(stage: Stage, query: str) -> None:
    path = query.format(**stage.values)
    answer = stage.cloud.request("GET", path, token=stage.bob.token)
    assert answer.status_int in (200, 400, 403, 404), answer.text
    if answer.status_int == 200:
        text = answer.text.replace(path.partition("?")[2], "")  # links repeat the query
        assert not {secret for secret in stage.secrets if secret in text}, answer.text
