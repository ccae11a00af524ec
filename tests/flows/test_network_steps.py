# SPDX-License-Identifier: Apache-2.0
"""Steps that nova-network does: no thread of a conductor waits for it, it may fail, be away, or know more than the database."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.engine.threads import Threads
from nova_lite.conductor.reconcilers.stalled_actions import GRACE_S, StalledActions
from nova_lite.db import database_epoch
from nova_lite.db.compute.actions import DONE, FAILED
from nova_lite.db.hosts import hosts
from nova_lite.rpc.network import ServerPorts
from nova_lite.rpc.order import Order
from tests.support.flows.one_process import NETWORK_STEPS, OneProcess
from tests.support.wait import wait_until


class Hung:
    """A worker that gets nothing of what it is cast, until it is `awake`."""

    def __init__(self, cloud: OneProcess) -> None:
        self._real, self.awake = cloud.services.network("node"), False
        object.__setattr__(cloud.services, "network", lambda agent: self)

    def __getattr__(self, name: str) -> Any:
        if name in NETWORK_STEPS and not self.awake:
            return lambda *args, **kwargs: None
        return getattr(self._real, name)


def set_down(cloud: OneProcess) -> None:
    """nova-network is known to be down."""
    object.__setattr__(cloud.services, "is_down", lambda binary, agent: binary == "nova-network")


def look(cloud: OneProcess) -> None:
    """A look for stalled actions, once their casts have had their time."""
    cloud.advance(seconds=GRACE_S + 1)
    cloud.report_services()
    StalledActions(cloud.services, cloud.engine).look()
    cloud.bus.deliver()


def test_builds_and_deletes_wait_for_a_silent_nova_network_in_no_thread(cloud: OneProcess) -> None:
    built = [cloud.create_server() for _ in range(5)]
    for _, action_id in built:
        cloud.run(action_id)
    worker = Hung(cloud)
    deletes = [cloud.begin_delete(server_id) for server_id, _ in built]
    builds = [cloud.create_server()[1] for _ in range(5)]
    for action_id in (*deletes, *builds):
        cloud.run(action_id)
    waiting = {cloud.action(action_id).awaiting_step for action_id in deletes}, {cloud.action(action_id).awaiting_step for action_id in builds}
    assert waiting == ({"release_network"}, {"prepare_network"})
    assert (cloud.engine.active, {cloud.action(action_id).lease_owner for action_id in (*deletes, *builds)}) == (set(), {None})
    worker.awake = True
    look(cloud)
    assert {cloud.action(action_id).state for action_id in (*deletes, *builds)} == {DONE}


def test_a_build_whose_network_cannot_be_prepared_moves_to_another_host(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare, refused = cloud.network.prepare, []

    def prepare_or_fail(ports: ServerPorts) -> None:
        if not refused:
            refused.append(ports.server_id)
            raise errors.NetworkFailed(host="node-1", action="prepare a server's network", reason="no bridge")
        prepare(ports)

    monkeypatch.setattr(cloud.network, "prepare", prepare_or_fail)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert (cloud.server(server_id).vm_state, refused) == ("active", [server_id])
    assert [(event.name, event.attempt, event.result) for event in cloud.events(action_id)][:2] == [
        ("pick_host", 1, "Success"), ("prepare_network", 1, "Error")]
    assert cloud.events(action_id)[-1].attempt == 2


def test_a_build_goes_on_where_nova_network_knows_later_orders_of_a_lost_database(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    with cloud.database.reader() as session:
        epoch = database_epoch.current(session)
    lost = Order(epoch=epoch, action=action_id + 500, sequence=2, nonce="lost")
    cloud.network.release(server_id, order=lost)
    cloud.run(action_id)
    assert (cloud.action(action_id).state, cloud.action(action_id).epoch > epoch) == (DONE, True)
    assert server_id in cloud.network.owned().server_ids
    held = cloud.network_records.servers[server_id].order
    assert held.key > lost.key


def test_a_delete_goes_on_where_nova_network_knows_later_orders_of_a_lost_database(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    held = cloud.network_records.servers[server_id]
    lost = Order(epoch=held.order.epoch, action=action_id + 500, sequence=2, nonce="lost")
    cloud.network.prepare(ServerPorts(**{**vars(held), "order": lost}))
    delete_id = cloud.begin_delete(server_id)
    cloud.run(delete_id)
    assert (cloud.action(delete_id).state, cloud.leftovers(server_id)) == (DONE, {})


def test_a_delete_leaves_a_nova_network_that_is_down_to_the_reconciler(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    set_down(cloud)
    delete_id = cloud.begin_delete(server_id)
    cloud.run(delete_id)
    assert (cloud.action(delete_id).state, cloud.server(server_id).vm_state) == (DONE, "deleted")
    assert cloud.network.owned().server_ids == (server_id,)


def test_a_build_moves_on_when_its_nova_network_goes_down(cloud: OneProcess) -> None:
    Hung(cloud)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    first = cloud.server(server_id).host
    set_down(cloud)
    cloud.advance(seconds=GRACE_S + 1)
    StalledActions(cloud.services, cloud.engine).look()
    cloud.bus.deliver()
    assert cloud.action(action_id).attempt == 2
    assert cloud.server(server_id).host != first


def test_an_attach_to_a_server_without_a_host_gives_its_port_back(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    port = cloud.ports(server_id)[0]
    attach_id = cloud.begin_action(server_id, "attach_interface", inputs={"port_id": port.id})
    with cloud.database.writer() as session:
        session.execute(sa.text("UPDATE servers SET agent = NULL, host = NULL"))
    cloud.run(attach_id)
    assert (cloud.action(attach_id).state, cloud.ports(server_id)) == (FAILED, [])
    assert "on no host" in str(cloud.action(attach_id).message)


def use_only(cloud: OneProcess, host: str) -> None:
    """New servers are placed on this host."""
    with cloud.database.writer() as session:
        for service in hosts.services(session, binary="nova-compute"):
            hosts.set_disabled(session, service, disabled=service.host != host)


def test_a_boot_goes_through_beside_forty_actions_that_wait_for_another_hosts_nova_network(
    cloud: OneProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, hung = threading.Event(), []
    prepare, release = cloud.network.prepare, cloud.network.release

    def wait_on_first_host(server_id: str) -> None:
        if cloud.server(server_id).host == "node-1":
            hung.append(server_id)
            assert go_on.wait(120)

    monkeypatch.setattr(cloud.network, "prepare", lambda ports: (wait_on_first_host(ports.server_id), prepare(ports)))
    monkeypatch.setattr(cloud.network, "release", lambda server_id, order: (wait_on_first_host(server_id), release(server_id, order=order)))
    use_only(cloud, "node-1")
    go_on.set()
    deletes = [cloud.begin_delete(server_id) for server_id in built(cloud, 20)]
    builds = [cloud.create_server()[1] for _ in range(20)]
    go_on.clear()
    hung.clear()
    threads = Threads(2)
    cloud.use_threads(threads)
    for action_id in (*deletes, *builds):
        cloud.engine.start(action_id)
    wait_until(lambda: len(hung) == 40, "all to wait for nova-network", seconds=60)
    use_only(cloud, "node-2")
    server_id, action_id = cloud.create_server()
    cloud.engine.start(action_id)
    wait_until(lambda: cloud.server(server_id).vm_state == "active", "the other host's boot", seconds=60)
    assert {cloud.action(waiting).awaiting_step for waiting in deletes} == {"release_network"}
    go_on.set()
    wait_until(lambda: {cloud.action(waiting).state for waiting in (*deletes, *builds)} == {DONE}, "all to go on", seconds=60)
    threads.stop()


def built(cloud: OneProcess, number: int) -> list[str]:
    """So many servers that run."""
    made = [cloud.create_server() for _ in range(number)]
    for _, action_id in made:
        cloud.run(action_id)
    return [server_id for server_id, _ in made]
