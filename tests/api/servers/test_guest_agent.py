# SPDX-License-Identifier: Apache-2.0
"""What reaches into guests, as requests: passwords, crash dumps, diagnostics, topology, addresses."""

from __future__ import annotations

from typing import Any

import pytest

from nova_lite import errors
from nova_lite.db.base import utcnow
from nova_lite.db.hosts import hosts
from nova_lite.rpc.compute import GuestPlacement
from nova_lite.rpc.diagnostics import DiskUse, GuestDiagnostics, NicUse
from nova_lite.values.flavor import Flavor
from tests.support.api.compute_api import NETWORK, ComputeApi, act, settle

USE = GuestDiagnostics(
    driver="libvirt", hypervisor="qemu", config_drive=True, cpu_times_ns=(7, 8), memory_maximum_mb=64,
    memory_used_mb=20, memory={"actual": 65536},
    disks=(DiskUse(name="vda", read_bytes=1, read_requests=2, write_bytes=3, write_requests=4),),
    nics=(NicUse(name="tap1", mac="fa:16:3e:00:00:01", rx_octets=1, rx_packets=2, rx_errors=3, rx_drop=4, tx_octets=5,
                 tx_packets=6, tx_errors=7, tx_drop=8),))


def test_a_password_is_set_by_the_worker_and_stored_nowhere(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "changePassword", {"adminPass": "secret-1"}).status == 202
    topic, _, method, arguments = api.rpc.sent[0]
    assert (topic, method, arguments["password"]) == ("compute", "change_password", "secret-1")
    server = api.get(f"/servers/{server_id}").body["server"]
    assert (server["status"], server["OS-EXT-STS:task_state"]) == ("PASSWORD", "updating_password")
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert journal[0]["action"] == "changePassword"
    assert "secret-1" not in str(journal)


def test_a_password_is_refused_if_the_guest_agent_does_not_answer(api: ComputeApi, server_id: str) -> None:
    api.rpc.answers["change_password"] = errors.HypervisorFailed(host="h1", action="set a password", reason="no agent")
    refused = act(api, server_id, "changePassword", {"adminPass": "x"})
    assert refused.status == 409
    assert "no agent" in refused.body["conflictingRequest"]["message"]


def outdated(api: ComputeApi, binary: str) -> None:
    """This worker of the server's host is of an earlier release."""
    api.change(lambda session: hosts.register_service(
        session, binary=binary, agent="h1", availability_zone="nova", names=["h1"], now=utcnow(), is_outdated=True))


def test_a_password_needs_no_nova_network_of_this_release(api: ComputeApi, server_id: str) -> None:
    outdated(api, "nova-network")
    assert act(api, server_id, "changePassword", {"adminPass": "x"}).status == 202


def test_a_password_on_a_host_of_an_earlier_release_is_refused_and_leaves_no_action(api: ComputeApi, server_id: str) -> None:
    outdated(api, "nova-compute")
    refused = act(api, server_id, "changePassword", {"adminPass": "x"})
    assert (refused.status, "nova-compute on h1 is of an earlier release" in str(refused.body)) == (503, True)
    assert api.get(f"/servers/{server_id}").body["server"]["status"] == "ACTIVE"


def test_no_transaction_is_open_while_the_worker_sets_a_password(api: ComputeApi, server_id: str) -> None:
    def look() -> None:
        settle(api, server_id, description="written meanwhile")  # on SQLite, an open transaction would not let it

    api.rpc.answers["change_password"] = look
    assert act(api, server_id, "changePassword", {"adminPass": "x"}).status == 202
    assert api.get(f"/servers/{server_id}", version="2.19").body["server"]["description"] == "written meanwhile"


@pytest.mark.parametrize("body", [{}, {"adminPass": 1}, {"adminPass": "a", "b": 1}])
def test_a_password_must_be_a_string(api: ComputeApi, server_id: str, body: Any) -> None:
    assert act(api, server_id, "changePassword", body).status == 400


def test_a_password_is_refused_for_a_stopped_server(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="stopped")
    assert act(api, server_id, "changePassword", {"adminPass": "x"}).status == 409


def test_a_crash_dump_is_cast_to_the_worker(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "trigger_crash_dump", version="2.17").status == 202
    assert api.rpc.sent[0][:3] == ("compute", "h1", "trigger_crash_dump")
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


def test_a_crash_dump_is_unknown_before_2_17(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "trigger_crash_dump", version="2.16").status == 400


def test_a_crash_dump_is_refused_for_a_stopped_server(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="stopped")
    assert act(api, server_id, "trigger_crash_dump", version="2.17").status == 409


def test_reset_network_is_gone(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "resetNetwork", user="admin").status == 410


def test_inject_network_info_refreshes_the_metadata(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "injectNetworkInfo", user="admin").status == 202
    assert api.rpc.sent[0][:3] == ("conductor", "", "refresh_documents")
    assert act(api, server_id, "injectNetworkInfo").status == 403


def test_diagnostics_before_2_48_have_the_names_of_libvirt(api: ComputeApi, server_id: str) -> None:
    api.rpc.answers["diagnostics"] = USE
    body = api.get(f"/servers/{server_id}/diagnostics", user="admin").body
    assert (body["cpu1_time"], body["vda_write_req"], body["vda_errors"]) == (8, 4, -1)
    assert (body["tap1_rx"], body["tap1_tx_packets"], body["memory"], body["memory-actual"]) == (1, 6, 65536, 65536)


def test_diagnostics_since_2_48_have_the_common_form(api: ComputeApi, server_id: str) -> None:
    api.rpc.answers["diagnostics"] = USE
    body = api.get(f"/servers/{server_id}/diagnostics", user="admin", version="2.48").body
    assert set(body) == {
        "state", "driver", "hypervisor", "hypervisor_os", "uptime", "config_drive", "num_cpus", "num_nics", "num_disks",
        "cpu_details", "memory_details", "nic_details", "disk_details"}
    assert body["cpu_details"] == [{"id": 0, "time": 7, "utilisation": None}, {"id": 1, "time": 8, "utilisation": None}]
    assert body["memory_details"] == {"maximum": 64, "used": 20}
    assert (body["nic_details"][0]["rx_rate"], body["nic_details"][0]["tx_octets"]) == (None, 5)
    assert body["disk_details"][0]["errors_count"] is None


def test_diagnostics_of_a_server_that_does_not_run_are_refused(api: ComputeApi, server_id: str) -> None:
    api.rpc.answers["diagnostics"] = errors.WrongState(
        action="get_diagnostics", id=server_id, attribute="power state", state="shutdown")
    assert api.get(f"/servers/{server_id}/diagnostics", user="admin").status == 409
    settle(api, server_id, agent=None)
    assert api.get(f"/servers/{server_id}/diagnostics", user="admin").status == 409


def test_diagnostics_are_for_admins(api: ComputeApi, server_id: str) -> None:
    assert api.get(f"/servers/{server_id}/diagnostics").status == 403


def test_a_server_without_numa_has_no_nodes(api: ComputeApi, server_id: str) -> None:
    response = api.get(f"/servers/{server_id}/topology", version="2.78")
    assert (response.status, response.body) == (200, {"nodes": [], "pagesize_kb": None})
    assert api.get(f"/servers/{server_id}/topology", version="2.77").status == 404


def test_numa_nodes_are_as_the_flavor_requires(api: ComputeApi, server_id: str) -> None:
    flavor = Flavor(id="1", name="m1", vcpus=2, ram_mb=64, root_gb=1,
                    extra_specs={"hw:numa_nodes": "2", "hw:mem_page_size": "2048"})
    settle(api, server_id, flavor=flavor, vcpus=2)
    api.rpc.answers["placement"] = GuestPlacement(pins={}, nodes={}, page_kib=2048)
    body = api.get(f"/servers/{server_id}/topology", version="2.78").body
    assert body == {"pagesize_kb": 2048, "nodes": [
        {"memory_mb": 32, "siblings": [], "vcpu_set": [0]}, {"memory_mb": 32, "siblings": [], "vcpu_set": [1]}]}
    nodes = api.get(f"/servers/{server_id}/topology", version="2.78", user="admin").body["nodes"]
    assert [(node["host_node"], node["cpu_pinning"]) for node in nodes] == [(0, {}), (1, {})]


def test_cpu_pinning_is_read_from_the_host(api: ComputeApi, server_id: str) -> None:
    flavor = Flavor(id="1", name="m1", vcpus=4, ram_mb=64, root_gb=1,
                    extra_specs={"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "2-3", "hw:cpu_threads": "2"})
    settle(api, server_id, flavor=flavor, vcpus=4)
    api.rpc.answers["placement"] = GuestPlacement(pins={"2": 9, "3": 11}, nodes={"2": 1, "3": 1}, page_kib=4)
    body = api.get(f"/servers/{server_id}/topology", version="2.78", user="admin").body
    assert body == {"pagesize_kb": None, "nodes": [{
        "memory_mb": 64, "siblings": [[0, 1], [2, 3]], "vcpu_set": [0, 1, 2, 3], "host_node": 1,
        "cpu_pinning": {"2": 9, "3": 11}}]}
    assert "cpu_pinning" not in api.get(f"/servers/{server_id}/topology", version="2.78").body["nodes"][0]
    settle(api, server_id, agent=None, host=None)
    nodes = api.get(f"/servers/{server_id}/topology", version="2.78", user="admin").body["nodes"]
    assert [(node["host_node"], node["cpu_pinning"]) for node in nodes] == [(None, {})]


@pytest.mark.parametrize("word", ["shelve", "rescue"])
def test_shelve_and_rescue_are_refused_for_a_server_with_a_tpm(api: ComputeApi, server_id: str, word: str) -> None:
    settle(api, server_id, image_properties={"hw_tpm_version": "2.0"})
    refused = act(api, server_id, word)
    assert refused.status == 409
    assert f"Operation '{word}' not supported for vTPM-enabled instance" in refused.body["conflictingRequest"]["message"]


def test_a_posted_password_is_shown_and_cleared(api: ComputeApi, server_id: str) -> None:
    assert api.get(f"/servers/{server_id}/os-server-password").body == {"password": ""}
    settle(api, server_id, posted_password="c2VjcmV0")
    assert api.get(f"/servers/{server_id}/os-server-password").body == {"password": "c2VjcmV0"}
    api.rpc.sent.clear()
    assert api.delete(f"/servers/{server_id}/os-server-password").status == 204
    assert [(sent[2], sent[3]) for sent in api.rpc.sent] == [("refresh_documents", {"server_id": server_id})]
    assert api.get(f"/servers/{server_id}/os-server-password").body == {"password": ""}


def addresses(api: ComputeApi, server_id: str) -> list[str]:
    by_network = api.get(f"/servers/{server_id}").body["server"]["addresses"]
    return [address["addr"] for address in by_network["net"]]


def test_a_fixed_address_is_added_and_removed(api: ComputeApi, server_id: str) -> None:
    first = addresses(api, server_id)
    assert act(api, server_id, "addFixedIp", {"networkId": NETWORK}).status == 202
    both = addresses(api, server_id)
    assert len(both) == 2
    assert both[0] in first
    assert act(api, server_id, "removeFixedIp", {"address": both[1]}).status == 202
    assert addresses(api, server_id) == first


def test_a_fixed_address_on_another_network_or_of_another_port_is_refused(api: ComputeApi, server_id: str) -> None:
    assert act(api, server_id, "addFixedIp", {"networkId": "no-such"}).status == 404
    assert act(api, server_id, "removeFixedIp", {"address": "10.9.9.9"}).status == 400
    assert act(api, server_id, "addFixedIp", {"networkId": NETWORK}, version="2.44").status == 400


def test_a_reset_of_the_state_ends_open_actions(api: ComputeApi, server_id: str) -> None:
    act(api, server_id, "pause")
    assert act(api, server_id, "os-resetState", {"state": "active"}, user="admin").status == 202
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert [(entry["action"], entry["message"]) for entry in journal[:2]] == [
        ("resetState", None), ("pause", "An operator has reset the server's state.")]
