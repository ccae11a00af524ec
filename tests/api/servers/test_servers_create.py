# SPDX-License-Identifier: Apache-2.0
"""POST /servers, as requests: what is written, and what is refused with nothing written."""

from __future__ import annotations

import base64
import uuid
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.servers import Server
from nova_lite.db.image.images import Image
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from nova_lite.db.network.security_groups import SecurityGroup
from nova_lite.values import flavor as values
from tests.support.api import compute_api
from tests.support.api.compute_api import IMAGE, NETWORK, SERVER, Answer, ComputeApi, boot, message
from tests.support.api.users import PROJECTS

UNKNOWN = "99999999-9999-4999-8999-999999999999"
ROOT_DISK = {"uuid": IMAGE, "boot_index": 0, "source_type": "image", "destination_type": "local",
             "delete_on_termination": True}


def create(api: ComputeApi, *, user: str = "alice", version: str = "2.1", **fields: Any) -> Answer:
    return api.post("/servers", {"server": {**SERVER, **fields}}, user=user, version=version)


def rows(api: ComputeApi, model: Any) -> list[Any]:
    with api.database.reader() as session:
        return list(session.scalars(sa.select(model)))


def test_a_create_writes_server_port_and_action_then_casts_to_the_conductor(api: ComputeApi) -> None:
    response = create(api)
    assert response.status == 202
    server, port, action = rows(api, Server)[0], rows(api, Port)[0], rows(api, Action)[0]
    assert (server.vm_state, server.task_state, server.project_id) == ("building", "scheduling", PROJECTS["alice"])
    assert (server.hostname, server.image_properties, server.total_gb) == ("vm", {"os": "linux"}, 1)
    assert server.flavor == values.Flavor(
        id="1", number=1, name="m1", vcpus=1, ram_mb=64, root_gb=1, extra_specs={"a": "b"})
    assert (port.device_id, port.is_ours, port.network_id) == (server.id, True, NETWORK)
    assert (action.resource_id, action.name, action.state) == (server.id, "create", "queued")
    assert api.rpc.sent == [("conductor", "", "run", {"action_id": action.id})]


def test_the_response_to_a_create_is_novas(api: ComputeApi) -> None:
    response = create(api)
    server_id = response.body["server"]["id"]
    assert response.headers["Location"] == f"http://cloud:8774/v2.1/servers/{server_id}"
    assert set(response.body["server"]) == {"id", "links", "OS-DCF:diskConfig", "security_groups", "adminPass"}
    assert response.body["server"]["security_groups"] == [{"name": "default"}]
    assert len(response.body["server"]["adminPass"]) == 12
    assert create(api, adminPass="mine").body["server"]["adminPass"] == "mine"


def test_the_block_device_mapping_of_openstackclient_is_accepted(api: ComputeApi) -> None:
    params = {"networks": [{"uuid": NETWORK}], "block_device_mapping_v2": [ROOT_DISK], "min_count": 1, "max_count": 1,
             "security_groups": [{"name": "default"}], "metadata": {"a": "b"}, "config_drive": True,
             "user_data": base64.b64encode(b"#!/bin/sh").decode(), "description": "d", "tags": ["x", "y"],
             "hostname": "www"}
    create(api, version="2.96", **params)
    server = rows(api, Server)[0]
    assert (server.metadata_items, server.config_drive, server.tags) == ({"a": "b"}, True, ["x", "y"])
    assert (server.description, server.hostname, server.user_data) == ("d", "www", params["user_data"])


def test_the_public_key_is_copied_into_the_server(api: ComputeApi) -> None:
    key = api.post("/os-keypairs", {"keypair": {"name": "k"}}).body["keypair"]
    create(api, key_name="k")
    assert (rows(api, Server)[0].key_name, rows(api, Server)[0].key_data) == ("k", key["public_key"])


@pytest.mark.parametrize(("wrong", "words"), [
    ({"name": ""}, "name"), ({"name": " x"}, "name"), ({"name": "x" * 256}, "name"), ({"name": 5}, "name"),
    ({"flavorRef": "nope"}, "Flavor nope could not be found"), ({"imageRef": "nope"}, "imageRef"),
    ({"imageRef": UNKNOWN}, "Can not find requested image"), ({"imageRef": ""}, "Invalid imageRef provided."),
    ({"key_name": "nope"}, "Invalid key_name provided."), ({"user_data": "not base64!"}, "valid base 64"),
    ({"user_data": "A" * 65536}, "user_data"), ({"metadata": {"a": 5}}, "metadata"),
    ({"metadata": {"k" * 256: "v"}}, "metadata"), ({"colour": "red"}, "colour"),
    ({"networks": [{"uuid": UNKNOWN}]}, f"Network {UNKNOWN} could not be found."),
    ({"networks": [{"port": UNKNOWN}]}, f"Port {UNKNOWN} could not be found."),
    ({"networks": [{"uuid": NETWORK, "fixed_ip": "192.168.0.1"}]}, "not a valid IP"),
    ({"networks": [{"uuid": "nope"}]}, "networks"), ({"networks": [{}]}, "network uuid"), ({"networks": "auto"}, "networks"),
    ({"security_groups": [{"name": "nope"}]}, "Security group nope not found"),
    ({"min_count": 0}, "min_count"), ({"min_count": 3, "max_count": 2}, "min_count must be <= max_count"),
    ({"name": "x" * 254, "max_count": 2}, "field/attribute name. With"), ({"name": "x" * 253, "min_count": 10}, "field/attribute name. With"),
    ({"availability_zone": "mars"}, "The requested availability zone is not available"),
    ({"config_drive": "perhaps"}, "config_drive"),
    ({"accessIPv4": "nope"}, "accessIPv4"), ({"OS-DCF:diskConfig": "FULL"}, "diskConfig"),
    ({"block_device_mapping_v2": [{**ROOT_DISK, "destination_type": "volume"}]}, "non-zero size"),
    ({"block_device_mapping_v2": [ROOT_DISK, {"source_type": "blank", "destination_type": "volume"}]}, "non-zero size"),
    ({"block_device_mapping_v2": [{**ROOT_DISK, "uuid": UNKNOWN}]}, "Boot sequence"),
    ({"block_device_mapping": [{"volume_id": UNKNOWN}]}, "failed to get volume"),
])
def test_a_wrong_request_gets_400_that_names_the_field_and_writes_nothing(
    api: ComputeApi, wrong: dict[str, Any], words: str
) -> None:
    refused = create(api, **wrong)
    assert (refused.status, next(iter(refused.body))) == (400, "badRequest")
    assert words in message(refused)
    assert (rows(api, Server), rows(api, Port), rows(api, Action), api.rpc.sent) == ([], [], [], [])


@pytest.mark.parametrize(("field", "value", "since"), [
    ("description", "d", "2.19"), ("tags", ["a"], "2.52"), ("trusted_image_certificates", None, "2.63"),
    ("host", "h1", "2.74"), ("hostname", "www", "2.90"),
])
def test_a_field_is_unknown_before_its_microversion(api: ComputeApi, field: str, value: Any, since: str) -> None:
    before = f"2.{int(since.split('.')[1]) - 1}"
    api.add(*compute_api.host("h1"))
    more = {field: value, "networks": [{"uuid": NETWORK}]}
    assert create(api, user="admin", version=before, **more).status == 400
    more["networks"] = [] if since == "2.19" else "none"
    assert create(api, user="admin", version=since, **more).status == 202


def test_a_host_name_can_have_dots_from_2_94_on(api: ComputeApi) -> None:
    assert create(api, version="2.93", networks="none", hostname="www.example.org").status == 400
    assert create(api, version="2.94", networks="none", hostname="www.example.org").status == 202


@pytest.mark.parametrize(("name", "hostname"), [
    ("web 1", "web-1"), ("Web_1.example", "web-1-example"), ("-x-", "x"), ("x" * 80, "x" * 63),
])
def test_the_host_name_is_derived_from_the_name(api: ComputeApi, name: str, hostname: str) -> None:
    create(api, name=name)
    assert rows(api, Server)[0].hostname == hostname


def test_a_name_without_ascii_letters_gives_a_host_name(api: ComputeApi) -> None:
    server_id = boot(api, name="日本")
    assert rows(api, Server)[0].hostname == f"server-{server_id}"


def test_networks_are_required_from_2_37_on(api: ComputeApi) -> None:
    assert create(api, version="2.36").status == 202
    assert create(api, version="2.37").status == 400
    assert create(api, version="2.37", networks="none").status == 202
    assert create(api, version="2.37", networks="auto").status == 202
    assert len(rows(api, Port)) == 2


def test_auto_creates_one_network_where_there_is_none(api: ComputeApi) -> None:
    assert create(api, user="bob").status == 202
    assert not [port for port in rows(api, Port) if port.project_id == PROJECTS["bob"]]
    for _ in range(2):
        assert create(api, user="bob", version="2.37", networks="auto", min_count=2).status == 202
    ports = [port for port in rows(api, Port) if port.project_id == PROJECTS["bob"] and port.device_owner == "compute:nova"]
    assert len(ports) == 4
    assert len({port.network_id for port in ports}) == 1
    made = next(network for network in rows(api, Network) if network.id == ports[0].network_id)
    assert (made.name, made.project_id, made.shared) == ("auto_allocated_network", PROJECTS["bob"], False)


def test_auto_is_refused_over_the_quota_of_networks(api: ComputeApi) -> None:
    api.conf.set_override("networks", 0, group="quota")
    refused = create(api, user="bob", version="2.37", networks="auto")
    assert (refused.status, "networks" in message(refused)) == (403, True)
    assert not [port for port in rows(api, Port) if port.project_id == PROJECTS["bob"]]


@pytest.mark.parametrize("version", ["2.1", "2.37"])
def test_a_create_without_a_network_is_refused_if_there_are_two(api: ComputeApi, version: str) -> None:
    api.add(compute_api.network(UNKNOWN, "second", segment=2))
    refused = create(api, version=version, networks=[])
    assert (refused.status, message(refused)) == (
        409, "Multiple possible networks found, use a Network ID to be more specific.")
    both = create(api, version=version, networks=[{"uuid": UNKNOWN}, {"uuid": NETWORK, "fixed_ip": "10.0.0.9"}])
    addresses = api.get(f"/servers/{both.body['server']['id']}").body["server"]["addresses"]
    assert list(addresses) == ["second", "net"]
    assert addresses["net"][0]["addr"] == "10.0.0.9"


def test_an_existing_port_is_bound_only_once(api: ComputeApi) -> None:
    api.add(Port(id=UNKNOWN, project_id=PROJECTS["alice"], network_id=NETWORK, mac_address="fa:16:3e:00:00:01"))
    server_id = boot(api, networks=[{"port": UNKNOWN}])
    assert (rows(api, Port)[0].device_id, rows(api, Port)[0].is_ours) == (server_id, False)
    refused = create(api, networks=[{"port": UNKNOWN}])
    assert (refused.status, message(refused)) == (409, f"Port {UNKNOWN} is still in use.")


def test_networks_ports_images_and_groups_of_other_projects_cannot_be_used(api: ComputeApi) -> None:
    api.add(Port(id=UNKNOWN, project_id=PROJECTS["alice"], network_id=NETWORK, mac_address="fa:16:3e:00:00:01"),
            SecurityGroup(id=UNKNOWN, project_id=PROJECTS["alice"], name="mine"),
            Image(id=UNKNOWN, owner=PROJECTS["alice"], status="active", visibility="private"))
    for fields in ({"networks": [{"uuid": NETWORK}]}, {"networks": [{"port": UNKNOWN}]}, {"imageRef": UNKNOWN},
                   {"security_groups": [{"name": "mine"}]}, {"security_groups": [{"name": UNKNOWN}]}):
        assert create(api, user="bob", **fields).status == 400
    assert rows(api, Server) == []


def test_security_groups_are_given_by_name_or_id(api: ComputeApi) -> None:
    api.add(SecurityGroup(id=UNKNOWN, project_id=PROJECTS["alice"], name="web"))
    for word in ("web", UNKNOWN):
        response = create(api, security_groups=[{"name": word}])
        assert response.body["server"]["security_groups"] == [{"name": word}]
        assert api.get(response.headers["Location"].split("v2.1")[1]).body["server"]["security_groups"] == [{"name": "web"}]


def test_an_image_that_is_not_active_is_refused(api: ComputeApi) -> None:
    api.add(Image(id=UNKNOWN, owner=PROJECTS["alice"], status="queued"))
    refused = create(api, imageRef=UNKNOWN)
    assert (refused.status, "not active" in message(refused)) == (400, True)


@pytest.mark.parametrize(("needs", "words"), [
    ({"min_ram_mb": 65}, "Flavor's memory is too small for requested image."),
    ({"min_disk_gb": 2}, "Flavor's disk is smaller than the minimum size specified in image metadata."),
    ({"virtual_size": 2**30 + 1}, "Flavor's disk is too small for requested image."),
])
def test_an_image_that_is_too_large_for_the_flavor_is_refused(api: ComputeApi, needs: dict[str, int], words: str) -> None:
    api.add(Image(id=UNKNOWN, owner=PROJECTS["alice"], status="active", disk_format="raw", **needs))
    refused = create(api, imageRef=UNKNOWN)
    assert (refused.status, words in message(refused)) == (400, True)


def test_a_flavor_without_disk_is_for_admins(api: ComputeApi) -> None:
    api.add(Flavor(id="0", name="m0", vcpus=1, ram_mb=64, root_gb=0))
    refused = create(api, flavorRef="0")
    assert (refused.status, message(refused)) == (
        403, "Only volume-backed servers are allowed for flavors with zero disk.")
    assert create(api, flavorRef="0", user="admin").status == 202
    assert rows(api, Server)[0].total_gb == 1


def test_a_create_over_quota_is_refused_with_novas_text(api: ComputeApi) -> None:
    api.put(f"/os-quota-sets/{PROJECTS['alice']}", {"quota_set": {"instances": 1}}, user="admin")
    boot(api)
    refused = create(api)
    assert (refused.status, message(refused)) == (
        403, "Quota exceeded for instances: Requested 1, but already used 1 of 1 instances")
    assert create(api, user="bob").status == 202


def test_each_resource_over_quota_is_named(api: ComputeApi) -> None:
    api.put(f"/os-quota-sets/{PROJECTS['alice']}", {"quota_set": {"cores": 1, "ram": 100}}, user="admin")
    refused = create(api, min_count=2)
    assert message(refused) == (
        "Quota exceeded for cores, ram: Requested 2, 128, but already used 0, 0 of 1, 100 cores, ram")


def test_as_many_servers_are_created_as_the_quota_allows(api: ComputeApi) -> None:
    api.put(f"/os-quota-sets/{PROJECTS['alice']}", {"quota_set": {"instances": 3}}, user="admin")
    response = create(api, min_count=2, max_count=5, return_reservation_id=True)
    servers = rows(api, Server)
    assert response.body == {"reservation_id": servers[0].reservation_id}
    assert [(server.name, server.hostname) for server in servers] == [(f"vm-{n}", f"vm-{n}") for n in (1, 2, 3)]
    assert len({port.device_id for port in rows(api, Port)}) == len(api.rpc.sent) == 3


def test_several_servers_cannot_share_a_port(api: ComputeApi) -> None:
    refused = create(api, max_count=2, networks=[{"uuid": NETWORK, "fixed_ip": "10.0.0.9"}])
    assert (refused.status, "multiple instances" in message(refused)) == (400, True)


def test_nor_a_host_name(api: ComputeApi) -> None:
    refused = create(api, version="2.90", hostname="www", max_count=2, networks="none")
    assert (refused.status, message(refused)) == (400, "Unable to allocate a single hostname to multiple instances")


def test_the_names_of_several_servers_fit_with_their_numbers(api: ComputeApi) -> None:
    assert create(api, name="x" * 253, min_count=2).status == 202
    assert [len(server.name) for server in rows(api, Server)] == [255, 255]


def test_too_many_metadata_items_are_over_quota(api: ComputeApi) -> None:
    refused = create(api, metadata={f"k{number}": "v" for number in range(129)})
    assert (refused.status, message(refused)) == (403, "Maximum number of metadata items exceeds 128")


@pytest.mark.parametrize(("fields", "version", "zone", "host"), [
    ({"availability_zone": "nova"}, "2.1", "nova", None), ({"availability_zone": "nova:h1"}, "2.1", "nova", "h1"),
    ({"availability_zone": "nova:h1:h1"}, "2.1", "nova", "h1"), ({"availability_zone": "nova::h1"}, "2.1", "nova", "h1"),
    ({"availability_zone": ":h1"}, "2.1", None, "h1"), ({"host": "h1", "networks": "none"}, "2.74", None, "h1"),
    ({"hypervisor_hostname": "h1", "networks": "none"}, "2.74", None, "h1"),
])
def test_an_admin_can_choose_zone_and_host(
    api: ComputeApi, fields: dict[str, Any], version: str, zone: str | None, host: str | None
) -> None:
    api.add(*compute_api.host("h1"))
    boot(api, user="admin", version=version, **fields)
    assert (rows(api, Server)[0].requested_az, rows(api, Server)[0].requested_host) == (zone, host)


def test_only_admins_can_choose_a_host(api: ComputeApi) -> None:
    api.add(*compute_api.host("h1"))
    assert create(api, availability_zone="nova").status == 202
    assert create(api, availability_zone="nova:h1").status == 403
    assert create(api, version="2.74", host="h1", networks="none").status == 403
    for wrong in ("nova:h9", "nova:h1:h9", "nova::h9", "nova:h1:h1:h1"):
        assert create(api, user="admin", availability_zone=wrong).status == 400
    assert create(api, user="admin", version="2.74", host="h1", hypervisor_hostname="h9", networks="none").status == 400


def test_scheduler_hints_that_no_filter_supports_are_refused(api: ComputeApi) -> None:
    refused = api.post("/servers", {"server": SERVER, "os:scheduler_hints": {"group": str(uuid.uuid4())}})
    assert (refused.status, "group" in message(refused)) == (400, True)


def test_a_reader_cannot_create(api: ComputeApi) -> None:
    assert create(api, user="reader").status == 403
    assert create(api, user="nobody").status == 403
    assert api.post("/servers", {"server": SERVER}, user="").status == 401


def test_a_create_takes_a_fixed_number_of_queries(api: ComputeApi) -> None:
    boot(api)
    for _ in range(3):
        boot(api, user="admin", networks=[])
    with api.counted() as statements:
        boot(api)
    assert len([text for text in statements if text.split()[0] in ("SELECT", "INSERT", "UPDATE")]) <= 14
