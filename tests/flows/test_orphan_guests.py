# SPDX-License-Identifier: Apache-2.0
"""What a host has of a server that the rows have elsewhere: removed once its own host says that it has it, and not before."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import oslo_messaging as messaging
import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.answers import MOST_OWNED
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import orphans
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.conductor.reports import PowerChanges
from nova_lite.conductor.service import ConductorService
from nova_lite.db.base import utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Service
from nova_lite.rpc import transport
from nova_lite.rpc.compute import ComputeRpc, OwnedGuests
from nova_lite.rpc.conductor import ConductorRpc, PowerState, ServiceReport
from nova_lite.rpc.network import OwnedNetworks
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.wait import wait_until

OTHER = "other"


@pytest.fixture
def server_id(cloud: OneProcess) -> str:
    """A server that runs on this host, whose row names another one."""
    made, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == made).values(agent=OTHER))
    return made


def beside(cloud: OneProcess, *server_ids: str) -> Services:
    """The cloud's services, with another host that has these servers."""
    known = set(server_ids)
    return _with_other(cloud, SimpleNamespace(owned_among=lambda ctxt, server_ids: tuple(known.intersection(server_ids))))


def silent(cloud: OneProcess) -> Services:
    def owned_among(_ctxt: object, *, server_ids: tuple[str, ...]) -> None:
        raise errors.ServiceDown(service="nova-compute", host=OTHER, reason="no answer in time")

    return _with_other(cloud, SimpleNamespace(owned_among=owned_among))


def _with_other(cloud: OneProcess, worker: Any) -> Services:
    here = cloud.services
    return dataclasses.replace(here, compute=lambda agent: worker if agent == OTHER else here.compute(agent),
                               network=lambda agent: worker if agent == OTHER else here.network(agent))


def held(cloud: OneProcess) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return cloud.guests(), cloud.network.owned().server_ids


def test_a_server_that_moved_is_removed_from_the_host_that_it_left(cloud: OneProcess, server_id: str) -> None:
    orphans.remove(beside(cloud, server_id), HostCalls())
    cloud.bus.deliver()
    assert held(cloud) == ((), ())


def test_a_server_whose_host_does_not_have_it_stays_where_it_is(cloud: OneProcess, server_id: str) -> None:
    orphans.remove(beside(cloud), HostCalls())
    assert held(cloud) == ((server_id,), (server_id,))


def test_a_server_whose_host_does_not_answer_stays_where_it_is(cloud: OneProcess, server_id: str) -> None:
    """As when this worker has got another name, and the one that the rows name is gone."""
    orphans.remove(silent(cloud), HostCalls())
    assert held(cloud) == ((server_id,), (server_id,))


@pytest.mark.parametrize("error", [messaging.RemoteError("OSError", "no such file"), OSError("no such file")], ids=["signed", "unsigned"])
def test_a_server_whose_host_fails_keeps_nothing_else_from_being_removed(cloud: OneProcess, server_id: str, error: Exception) -> None:
    deleted, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == deleted).values(deleted_at=Server.created_at))

    def owned_among(_ctxt: object, *, server_ids: tuple[str, ...]) -> None:
        raise error

    orphans.remove(_with_other(cloud, SimpleNamespace(owned_among=owned_among)), HostCalls())
    assert held(cloud) == ((server_id,), (server_id,))


def test_what_deleted_servers_left_goes_though_another_hosts_server_is_in_doubt(cloud: OneProcess, server_id: str) -> None:
    deleted, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == deleted).values(deleted_at=Server.created_at))
    orphans.remove(silent(cloud), HostCalls())
    assert held(cloud) == ((server_id,), (server_id,))


def changing(cloud: OneProcess, change: Callable[[Any], Any]) -> tuple[Services, list[Any]]:
    """The cloud's services, whose workers answer otherwise what they have; and what they answered."""
    here, answers = cloud.services, list[Any]()

    def of(workers: Callable[[str], Any]) -> Callable[[str], Any]:
        def worker(agent: str) -> Any:
            there = workers(agent)

            def owned_unless(ctxt: Any, *, digest: str) -> Any:
                answers.append(change(there.owned_unless(ctxt, digest=digest)))
                return answers[-1]

            return Overriding(there, owned_unless=owned_unless)

        return worker

    return dataclasses.replace(here, compute=of(here.compute), network=of(here.network)), answers


class Overriding:
    """A worker some of whose methods are others."""

    def __init__(self, worker: Any, **methods: Any) -> None:
        self._worker = worker
        self.__dict__ |= methods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._worker, name)


@pytest.mark.parametrize(("age_s", "power_state"), [(60, 0), (0, 1)])
def test_a_server_whose_guest_its_host_has_not_shows_no_power_once_its_row_is_settled(cloud: OneProcess, age_s: int, power_state: int) -> None:
    made, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == made).values(updated_at=utcnow() - timedelta(seconds=age_s)))
    services, _ = changing(cloud, lambda answer: dataclasses.replace(answer, server_ids=(), is_as_expected=False))
    orphans.remove(services, HostCalls())
    assert (cloud.server(made).vm_state, cloud.server(made).power_state) == ("active", power_state)
    PowerChanges(cloud.services).power_changed(CTXT, host="node-1", states=(PowerState(server_id=made, state=1),))
    assert cloud.server(made).power_state == 1, "the guest is there again"


def test_a_host_that_has_what_the_rows_have_sends_no_ids(cloud: OneProcess) -> None:
    made, action_id = cloud.create_server()
    cloud.run(action_id)
    services, answers = changing(cloud, lambda answer: answer)
    orphans.remove(services, HostCalls())
    assert answers == [OwnedGuests(server_ids=(), is_as_expected=True),
                       OwnedNetworks(network_ids=(cloud.network_id,), server_ids=(), is_as_expected=True)]
    with cloud.database.writer() as session:
        session.execute(sa.update(Server).where(Server.id == made).values(deleted_at=Server.created_at))
    orphans.remove(services, HostCalls())
    cloud.bus.deliver()
    assert held(cloud) == ((), ())
    assert [answer.server_ids for answer in answers[2:]] == [(made,), (made,)]


@pytest.mark.parametrize("server_ids", [("\0" * 36,), ([],), tuple("a" * MOST_OWNED) + ("a",), "abc"], ids=["NUL", "a list", "too many", "a text"])
def test_an_answer_that_no_worker_has_changes_nothing(cloud: OneProcess, server_id: str, server_ids: Any) -> None:
    """As of a host that was taken over; the other worker's is compared."""
    here = beside(cloud, server_id)
    there = dataclasses.replace(here, compute=lambda agent: Overriding(
        here.compute(agent), owned_unless=lambda ctxt, *, digest: OwnedGuests(server_ids=server_ids)))
    orphans.remove(there, HostCalls())
    cloud.bus.deliver()
    assert held(cloud) == ((server_id,), ())


def test_a_host_that_says_to_have_what_is_no_id_has_nothing(cloud: OneProcess, server_id: str) -> None:
    worker = SimpleNamespace(owned_among=lambda ctxt, *, server_ids: [["x"]])
    orphans.remove(_with_other(cloud, worker), HostCalls())
    assert held(cloud) == ((server_id,), (server_id,))


class Worker:
    """A nova-compute that has nothing; it notes that it is called."""

    def __init__(self) -> None:
        self.target, self.called = messaging.Target(version=ComputeRpc.version), threading.Event()

    @messaging.expose  # type: ignore[untyped-decorator]
    def owned_unless(self, ctxt: dict[str, Any], digest: str) -> dict[str, Any]:
        self.called.set()
        return {"server_ids": []}


def test_a_worker_that_starts_is_compared_before_the_next_period(cloud: OneProcess) -> None:
    """What was deleted while it was away is still there. Its row shows that it is down until its heartbeat is written."""
    cloud.conf.register_opts(messaging.transport._transport_opts)
    cloud.conf.set_override("transport_url", f"inprocess:///{uuid.uuid4()}")
    cloud.conf.set_override("reconcile_interval", 3600, group="conductor")
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).values(seen_at=utcnow() - timedelta(hours=1)))
    bus, worker = transport.connect(cloud.conf), Worker()
    server = messaging.get_rpc_server(bus, messaging.Target(topic="compute", server="node", version=ComputeRpc.version), [worker],
                                      executor="threading", access_policy=messaging.ExplicitRPCAccessPolicy)
    server.start()
    conductor = ConductorService(cloud.conf, bus, cloud.database)
    conductor.start()
    ConductorRpc.client(bus).report(CTXT, status=ServiceReport(
        binary="nova-compute", agent="node", inventories=cloud.driver.host.inventory(), is_first=True))
    wait_until(worker.called.is_set, "the worker to be called")
    assert not cloud.services.is_down("nova-compute", "node")
    conductor.stop()
    server.stop()
    server.wait()


def test_a_worker_of_an_earlier_release_is_not_called(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).values(is_outdated=True))
    services, answers = changing(cloud, lambda answer: answer)
    orphans.remove(services, HostCalls())
    assert answers == []
