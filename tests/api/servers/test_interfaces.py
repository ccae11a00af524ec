# SPDX-License-Identifier: Apache-2.0
"""Attach and detach of NICs as requests; a stand-in carries the actions out as a conductor would."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite.api.compute.servers.subresources import interfaces as interface_api
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import hosts
from nova_lite.db.network import interfaces, ports, security_groups
from nova_lite.db.network.networks import Network
from nova_lite.db.network.ports import Port
from tests.support.api import compute_api
from tests.support.api.compute_api import NETWORK, Answer, ComputeApi, boot, network, settle
from tests.support.api.users import PROJECTS
from tests.support.wait import wait_until

SECOND = "33333333-3333-4333-8333-333333333333"


class Conductor:
    """Ends each action that is cast to it at once: it fails with `reason`, if there is one. While `holds`, it only keeps them."""

    def __init__(self, api: ComputeApi) -> None:
        self._api = api
        self.reason: str | None = None
        self.holds = False
        self.held: list[int] = []

    def run(self, _ctxt: Any, *, action_id: int) -> None:
        if self.holds:
            self.held.append(action_id)
            return
        self._end(action_id)
        if self._api.rpc.endpoint is not None and self.reason is None:
            self._api.rpc.endpoint.action_ended(_ctxt, action_id=action_id)

    def end_all(self) -> None:
        """Stop to hold, and end what is held."""
        self.holds = False
        while self.held:
            self.run(None, action_id=self.held.pop(0))

    def _end(self, action_id: int) -> None:
        with self._api.database.writer() as session:
            action = session.get_one(Action, action_id)
            if self.reason is not None:
                interfaces.take_back(session, action.resource_id, action.inputs["port_id"])
                action.state, action.message = actions.FAILED, self.reason
                servers.abandon(session, action.resource_id, action.name, fault=None, is_fatal=False)
                return
            if action.name == "attach_interface":
                interfaces.plug_one(session, action.resource_id, action.inputs["port_id"])
            else:
                interfaces.take_back(session, action.resource_id, action.inputs["port_id"])
            action.state = actions.DONE
            servers.finish(session, action.resource_id, action.name)


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    api = compute_api.furnish(compute_api.make(tmp_path))
    api.rpc.conductor = Conductor(api)  # type: ignore[assignment]
    return api


@pytest.fixture
def conductor(api: ComputeApi) -> Conductor:
    found: Any = api.rpc.conductor
    return found


@pytest.fixture
def server_id(api: ComputeApi) -> str:
    api.rpc.conductor = compute_api.Rpc().conductor
    new_id = boot(api)
    api.rpc.conductor = Conductor(api)  # type: ignore[assignment]
    settle(api, new_id)
    api.change(lambda session: session.execute(sa.update(Port).values(host="h1", status="ACTIVE")))
    return new_id


def attach(api: ComputeApi, server_id: str, *, version: str = "2.1", **params: Any) -> Answer:
    return api.post(f"/servers/{server_id}/os-interface", {"interfaceAttachment": params}, version=version)


def nics(api: ComputeApi, server_id: str) -> list[dict[str, Any]]:
    return list(api.get(f"/servers/{server_id}/os-interface", version="2.70").body["interfaceAttachments"])


def own_port(api: ComputeApi, *, user: str = "alice") -> str:
    def make(session: Any) -> str:
        net = session.get_one(Network, NETWORK, options=[sa.orm.selectinload(Network.subnets)])
        return ports.create(session, {"project_id": PROJECTS[user], "name": "mine"}, network=net, wanted=None, group_ids=[],
                            rng=interface_api._RANDOM)

    return str(api.change(make))


def test_a_port_is_created_on_the_only_network(api: ComputeApi, server_id: str) -> None:
    answer = attach(api, server_id)
    assert answer.status == 200
    attachment = answer.body["interfaceAttachment"]
    assert set(attachment) == {"net_id", "port_id", "mac_addr", "port_state", "fixed_ips"}
    assert (attachment["net_id"], attachment["port_state"]) == (NETWORK, "ACTIVE")
    assert [nic["port_id"] for nic in nics(api, server_id)][1] == attachment["port_id"]
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


def test_a_new_port_gets_the_default_security_group(api: ComputeApi, server_id: str) -> None:
    port_id = attach(api, server_id, net_id=NETWORK).body["interfaceAttachment"]["port_id"]
    with api.database.reader() as session:
        assert [member.group.name for member in ports.get(session, port_id).security_groups] == ["default"]


def test_a_fixed_address_can_be_requested(api: ComputeApi, server_id: str) -> None:
    in_use = nics(api, server_id)[0]["fixed_ips"][0]["ip_address"]
    address = next(free for free in ("10.0.0.77", "10.0.0.78") if free != in_use)
    answer = attach(api, server_id, net_id=NETWORK, fixed_ips=[{"ip_address": address}])
    assert (answer.status, answer.body["interfaceAttachment"]["fixed_ips"][0]["ip_address"]) == (200, address)


def test_an_existing_port_and_its_tag_are_shown(api: ComputeApi, server_id: str) -> None:
    port_id = own_port(api)
    assert attach(api, server_id, port_id=port_id, tag="lan", version="2.49").status == 200
    attachment = api.get(f"/servers/{server_id}/os-interface/{port_id}", version="2.70").body["interfaceAttachment"]
    assert attachment["tag"] == "lan"


def test_a_detach_unbinds_an_existing_port_and_deletes_a_created_one(api: ComputeApi, server_id: str) -> None:
    own_port_id = own_port(api)
    attach(api, server_id, port_id=own_port_id)
    new_port = attach(api, server_id).body["interfaceAttachment"]["port_id"]
    assert api.delete(f"/servers/{server_id}/os-interface/{own_port_id}").status == 202
    assert api.delete(f"/servers/{server_id}/os-interface/{new_port}").status == 202
    assert len(nics(api, server_id)) == 1
    with api.database.reader() as session:
        kept = session.scalars(sa.select(Port).where(Port.id.in_([own_port_id, new_port]))).all()
    assert [(port.id, port.device_id, port.host) for port in kept] == [(own_port_id, "", None)]


def test_instance_actions_have_novas_names(api: ComputeApi, server_id: str) -> None:
    port_id = attach(api, server_id).body["interfaceAttachment"]["port_id"]
    api.delete(f"/servers/{server_id}/os-interface/{port_id}")
    journal = api.get(f"/servers/{server_id}/os-instance-actions").body["instanceActions"]
    assert [entry["action"] for entry in journal] == ["detach_interface", "attach_interface", "create"]


@pytest.mark.parametrize(("params", "status"), [
    ({"net_id": NETWORK, "port_id": str(uuid.uuid4())}, 400),
    ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, 400),
    ({"net_id": str(uuid.uuid4())}, 404),
    ({"port_id": str(uuid.uuid4())}, 404),
    ({"net_id": "x"}, 400),
    ({"net_id": NETWORK, "fixed_ips": [{"ip_address": "10.9.0.9"}]}, 400),
    ({"net_id": NETWORK, "fixed_ips": []}, 400),
    ({"tag": "early"}, 400),
])
def test_a_wrong_attach_is_refused(api: ComputeApi, server_id: str, params: dict[str, Any], status: int) -> None:
    assert attach(api, server_id, **params).status == status
    assert len(nics(api, server_id)) == 1


def test_a_port_in_use_is_a_conflict(api: ComputeApi, server_id: str) -> None:
    first = nics(api, server_id)[0]["port_id"]
    answer = attach(api, server_id, port_id=first)
    assert (answer.status, "still in use" in str(answer.body)) == (409, True)


def test_an_address_in_use_is_a_conflict(api: ComputeApi, server_id: str) -> None:
    taken = nics(api, server_id)[0]["fixed_ips"][0]["ip_address"]
    assert attach(api, server_id, net_id=NETWORK, fixed_ips=[{"ip_address": taken}]).status == 409


def test_a_full_network_is_refused(api: ComputeApi, server_id: str) -> None:
    api.change(lambda session: session.execute(sa.text("UPDATE subnets SET pools = '[]'")))
    answer = attach(api, server_id, net_id=NETWORK)
    assert (answer.status, "No fixed IP addresses available" in str(answer.body)) == (400, True)


def test_several_networks_are_ambiguous(api: ComputeApi, server_id: str) -> None:
    api.add(network(SECOND, "other", segment=2))
    assert attach(api, server_id).status == 400


def test_a_port_of_another_project_is_not_found(api: ComputeApi, server_id: str) -> None:
    assert attach(api, server_id, port_id=own_port(api, user="bob")).status == 404


def test_ports_count_against_the_quota(api: ComputeApi, server_id: str) -> None:
    api.conf.set_override("ports", 1, group="quota")
    assert attach(api, server_id).status == 403


@pytest.mark.parametrize("vm_state", ["suspended", "error", "building"])
def test_a_refusal_names_the_state_that_forbids_it(api: ComputeApi, server_id: str, vm_state: str) -> None:
    settle(api, server_id, vm_state=vm_state)
    answer = attach(api, server_id)
    assert (answer.status, f"vm_state {vm_state}" in str(answer.body)) == (409, True)
    first = nics(api, server_id)[0]["port_id"]
    assert api.delete(f"/servers/{server_id}/os-interface/{first}").status == 409


def test_an_attach_to_a_locked_server_is_refused(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, locked_by="owner")
    assert attach(api, server_id).status == 409


def test_a_failed_attach_is_an_error_and_leaves_no_port(api: ComputeApi, server_id: str, conductor: Conductor) -> None:
    api.rpc.conductor.reason = "host h1: no room for a NIC"  # type: ignore[attr-defined]
    answer = attach(api, server_id)
    assert (answer.status, "no room for a NIC" in str(answer.body)) == (500, True)
    assert len(nics(api, server_id)) == 1


@pytest.mark.parametrize("is_disabled", [False, True], ids=["", "disabled by an operator"])
@pytest.mark.parametrize("binary", ["nova-compute", "nova-network"])
def test_an_attach_on_a_host_of_an_earlier_release_is_refused_at_once(api: ComputeApi, server_id: str, binary: str, is_disabled: bool) -> None:
    api.change(lambda session: hosts.register_service(
        session, binary=binary, agent="h1", availability_zone="nova", names=["h1"], now=utcnow()))
    if is_disabled:
        api.change(lambda session: hosts.set_disabled(session, hosts.services(session, binary=binary, host="h1")[0], disabled=True))
    api.change(lambda session: hosts.beat(session, binary=binary, agent="h1", is_outdated=True))
    answer = attach(api, server_id)
    assert (answer.status, f"{binary} on h1 is of an earlier release" in str(answer.body)) == (503, True)
    assert len(nics(api, server_id)) == 1
    assert api.get(f"/servers/{server_id}").body["server"]["OS-EXT-STS:task_state"] is None


def test_a_detach_of_an_unknown_port_is_not_found(api: ComputeApi, server_id: str) -> None:
    assert api.delete(f"/servers/{server_id}/os-interface/{uuid.uuid4()}").status == 404


def in_threads(count: int, call: Callable[[], int]) -> tuple[list[threading.Thread], list[int]]:
    """So many calls at once, and the list that their results come to."""
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(call())) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, results


def test_attaches_at_once_take_turns(api: ComputeApi, server_id: str) -> None:
    threads, statuses = in_threads(4, lambda: attach(api, server_id).status)
    for thread in threads:
        thread.join(30)
    assert statuses == [200] * 4
    assert len(nics(api, server_id)) == 5


def test_an_attach_waits_for_the_report_of_its_end(api: ComputeApi, server_id: str, conductor: Conductor) -> None:
    conductor.holds = True
    (thread,), statuses = in_threads(1, lambda: attach(api, server_id).status)
    wait_until(lambda: conductor.held and api.rpc.endpoint, "the attach to be cast")
    assert statuses == []
    conductor.end_all()
    thread.join(30)
    assert statuses == [200]


def test_an_attach_begins_when_the_detach_before_it_has_ended(api: ComputeApi, server_id: str, conductor: Conductor) -> None:
    first = nics(api, server_id)[0]["port_id"]
    conductor.holds = True
    assert api.delete(f"/servers/{server_id}/os-interface/{first}").status == 202
    (thread,), statuses = in_threads(1, lambda: attach(api, server_id).status)
    wait_until(lambda: api.rpc.endpoint, "the attach to wait for its turn")
    assert (statuses, len(conductor.held)) == ([], 1)
    conductor.end_all()
    thread.join(30)
    assert statuses == [200]
    assert [nic["port_id"] for nic in nics(api, server_id)] != [first]


def test_an_attach_waits_for_a_detach_only_so_long_and_for_no_other_action(
    api: ComputeApi, server_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(api, server_id, task_state="powering-off")
    assert attach(api, server_id).status == 409
    monkeypatch.setattr(interface_api, "WAIT_S", 0.1)
    settle(api, server_id, task_state="detaching-interface")
    assert attach(api, server_id).status == 409


def test_an_attach_that_takes_longer_than_clients_wait_is_an_error(
    api: ComputeApi, server_id: str, conductor: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interface_api, "WAIT_S", 0.1)
    conductor.holds = True
    answer = attach(api, server_id)
    assert (answer.status, "still under way" in str(answer.body)) == (500, True)


def test_more_requests_than_may_wait_for_workers_are_refused(api: ComputeApi, server_id: str) -> None:
    with contextlib.ExitStack() as slots:
        for _ in range(api.conf.api.threads * 3 // 4):
            slots.enter_context(api.parts.waiting.slot())
        refused = attach(api, server_id)
        assert (refused.status, refused.headers["Retry-After"]) == (503, "2")
        assert len(nics(api, server_id)) == 1
    assert attach(api, server_id).status == 200


def test_the_default_security_group_is_created_when_missing(api: ComputeApi, server_id: str) -> None:
    attach(api, server_id)
    with api.database.reader() as session:
        assert security_groups.has_default(session, PROJECTS["alice"])
        assert session.scalar(sa.select(Server.task_state).where(Server.id == server_id)) is None
