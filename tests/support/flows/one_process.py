# SPDX-License-Identifier: Apache-2.0
"""Conductor, scheduler and workers on the fake drivers in one process, calling each other directly: no bus, no threads."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.audit import Audit
from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.operations.guest_agent import Inside
from nova_lite.compute.operations.interfaces import Interfaces
from nova_lite.compute.operations.power import Power
from nova_lite.compute.operations.rebuild import Rebuild
from nova_lite.compute.operations.resize import Resize
from nova_lite.compute.operations.shelve import Shelve
from nova_lite.compute.operations.snapshot import Snapshot
from nova_lite.compute.operations.soft_delete import SoftDelete
from nova_lite.compute.operations.volumes import Volumes as GuestVolumes
from nova_lite.compute.records import Records
from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.conductor.endpoints import Workflows
from nova_lite.conductor.engine.engine import Engine
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.engine.threads import Threads
from nova_lite.conductor.instance_metadata import Documents
from nova_lite.conductor.network_sync import NetworkSync
from nova_lite.conductor.reports import Heartbeats, PowerChanges
from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.context import Context
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.hosts.hosts import Claim
from nova_lite.db.image import images
from nova_lite.db.image.images import Image
from nova_lite.db.network import networks, ports, security_groups
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import ACTIONS, FIND_SERVER, HOST_STEP_SEQUENCE
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records as NetworkRecords
from nova_lite.network.service import Inventory, NetworkUpdates, Servers
from nova_lite.payloads.environment import Environment
from nova_lite.rpc.compute import ComputeRpc
from nova_lite.rpc.conductor import ServiceReport, StepReport
from nova_lite.rpc.order import Order
from nova_lite.runtime import tokens
from nova_lite.scheduler.service import Placements
from nova_lite.scheduler.volumes.placements import PoolPlacements
from nova_lite.values.flavor import Flavor
from tests.support import databases
from tests.support.flows import storage
from tests.support.flows.together import Together
from tests.support.options import defaults

CTXT = Context(user_id="u" * 32, project_id="p" * 32, roles=frozenset({"member", "reader"}))


class Bus:
    """What was cast and waits for its turn; nothing is delivered in the middle of anything else."""

    def __init__(self) -> None:
        self._waiting: collections.deque[Callable[[], None]] = collections.deque()
        self._is_delivering = False

    def put(self, work: Callable[[], None]) -> None:
        """Deliver it at once, unless something is being delivered: then it waits for its turn."""
        self._waiting.append(work)
        self.deliver()

    def deliver(self) -> None:
        """Deliver all, and what comes of it, unless that is being done."""
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._waiting:
                with contextlib.suppress(errors.StaleRequest):
                    self._waiting.popleft()()
        finally:
            self._is_delivering = False

    def clear(self) -> None:
        """As a broker that loses what it has."""
        self._waiting.clear()


# What a compute worker is sent by casts.
STEPS = tuple(name for name, method in ComputeRpc.methods().items() if not method.rpc_contract.is_call)  # type: ignore[attr-defined]
# What a network worker is sent for actions; what else it is sent has no answer, and is done at once.
NETWORK_STEPS = ("prepare_server", "release_server")


class Casts:
    """A client whose casts wait on the bus; its calls are answered at once."""

    def __init__(self, bus: Bus, target: Any, names: tuple[str, ...]) -> None:
        self._bus, self._target, self._names = bus, target, names

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            return getattr(self._target, name)
        return lambda *args, **kwargs: self._bus.put(lambda: getattr(self._target, name)(*args, **kwargs))


class Reports:
    """Endpoint before the conductor's: a test may change what workers report."""

    def __init__(self, cloud: OneProcess) -> None:
        self._cloud = cloud

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self._cloud.engine.report(self._cloud.change_report(report))


class ApiReports:
    """Stands for all processes of nova-api: keeps the ids of the actions whose end was reported."""

    def __init__(self) -> None:
        self.ended: list[int] = []

    def action_ended(self, _ctxt: Context, *, action_id: int) -> None:
        self.ended.append(action_id)


class OneProcess:
    """A cloud of `hosts` simulated hosts behind the agent `node`."""

    def __init__(self, directory: Path, *, hosts: int = 2) -> None:
        self._open(directory, hosts=hosts, database=databases.fresh(directory), network_records=NetworkRecords(None))
        inventories = [dataclasses.replace(inventory, uptime="") for inventory in self.driver.host.inventory()]
        self.image_id, self.network_id, known = databases.fill(self.database, repr(inventories), self._furnish)
        self.heartbeats._known = {key: (self.now_is(), report) for key, (_, report) in known.items()}
        self.heartbeats._heard_at = dict.fromkeys(known, time.monotonic())

    def _furnish(self) -> tuple[str, str, dict[Any, Any]]:
        """Heartbeats, an image and a network; the ids of the last two, and what the conductor knows from the first."""
        self.report_services()
        return self._image(), self._network(), self.heartbeats._known

    def _open(self, directory: Path, *, hosts: int, database: Database, network_records: NetworkRecords) -> None:
        """Start the daemons on this database and these records of the hosts."""
        self.conf = _conf(directory, hosts)
        self.database = database
        self.now_is: Callable[[], datetime.datetime] = utcnow
        tokens.KeyRepository(tokens.directory_of(self.conf)).create()
        self.driver = FakeDriver(self.conf)
        self.network_records = network_records
        self.bus = Bus()
        self.change_report: Callable[[StepReport], StepReport] = lambda report: report
        self._start()

    def add_backend(self, name: str) -> None:
        """The volume worker has one more, of simulated volumes."""
        storage.add_backend(self.volume_worker, name)
        self.report_services()

    def report_services(self) -> None:
        """The heartbeats of the workers."""
        self.heartbeats.report(CTXT, status=ServiceReport(binary="nova-compute", agent="node", inventories=self.driver.host.inventory()))
        self.heartbeats.report(CTXT, status=ServiceReport(binary="nova-network", agent="node"))
        self.heartbeats.report(CTXT, status=ServiceReport(binary="nova-volume", agent="node", pools=self.volume_worker.backends.pools()))
        self.heartbeats.flush()

    def _start(self) -> None:
        self.api = ApiReports()
        records = Records(Path(self.conf.state_path) / "compute", is_durable=False)
        records.load()
        conductor = Together()
        self.network = FakeNetwork(self.network_records, source=cast(Any, conductor), agent="node")
        reports = cast(Any, Casts(self.bus, conductor, ("report_step",)))
        self.compute_host = Host(conf=self.conf, driver=self.driver, records=records, conductor=reports)
        self.build_endpoint, self.soft_delete = Build(self.compute_host), SoftDelete(self.compute_host)
        compute = Together(self.build_endpoint, Interfaces(self.compute_host), Power(self.compute_host),
                           Resize(self.compute_host),
                           Rebuild(self.compute_host), Snapshot(self.compute_host, upload=self._receive, timeout_s=1), Shelve(self.compute_host),
                           self.soft_delete, Inside(self.compute_host), Audit(self.compute_host), GuestVolumes(self.compute_host))
        network = Together(Servers(self.network, reports, host="node"), NetworkUpdates(self.network), Inventory(self.network))
        self.volume_worker, volume = storage.make(self.conf, reports, upload=self._receive)
        self.services = Services(
            conf=self.conf, database=self.database, now=lambda: self.now_is(),
            environment=Environment(dns_domain=self.conf.network.dns_domain, public_url="http://api",
                                    image_token=lambda grant, project_id: "token", open_secret=tokens.open_tokens(self.conf).decrypt_secret,
                                    seal_secret=tokens.open_tokens(self.conf).encrypt_secret),
            scheduler=cast(Any, Together(Placements(self.conf, self.database, rng=random.Random(7)),
                                         PoolPlacements(self.conf, self.database, rng=random.Random(7)))),
            volume=lambda agent: cast(Any, Casts(self.bus, volume, storage.STEPS)),
            conductor=cast(Any, Casts(self.bus, conductor, ("run", "refresh_documents"))), api=cast(Any, self.api),
            compute=lambda agent: cast(Any, Casts(self.bus, compute, STEPS)),
            network=lambda agent: cast(Any, Casts(self.bus, network, NETWORK_STEPS)), network_changed=self._push_network)
        self.network_sync = NetworkSync(self.services)
        self.heartbeats = Heartbeats(self.services)
        self.conductor = conductor
        self._start_conductor("conductor-1")

    def _start_conductor(self, name: str) -> None:
        self.engine = Engine(self.services, WORKFLOWS, owner=name, submit=lambda work, project_id: self.bus.put(work), wake=lambda seconds, work: None)
        self.conductor.__init__(  # type: ignore[misc]
            Reports(self), Workflows(self.engine), PowerChanges(self.services), Documents(self.services), self.network_sync, self.heartbeats)

    def _push_network(self) -> None:
        """As the pusher's thread does, but at once; a workflow that runs in a thread leaves it to later ones."""
        if threading.current_thread() is threading.main_thread():
            self.network_sync.push()

    def _receive(self, source: BinaryIO, *, url: str, token: str, timeout_s: float, check: Callable[[], None]) -> None:
        """As the image service: a queued image becomes active."""
        image_id, file_id = url.split("/")[-2], new_id()
        size = len(source.read())
        with self.database.writer() as session:
            images.begin_upload(session, image_id, file_id=file_id)
            images.finish_upload(session, image_id, file_id=file_id, contents=images.Contents(size, size, "0" * 32, "0" * 128))

    def restart_conductor(self, name: str = "conductor-2") -> None:
        """Another conductor takes over: leases of the first have run out."""
        self._start_conductor(name)
        self.expire_leases()

    def expire_leases(self) -> None:
        """As if the lease time, and the rest after a failure, had passed."""
        with self.database.writer() as session:
            session.execute(sa.update(actions.Action).values(
                lease_until=utcnow() - datetime.timedelta(seconds=1), wake_at=None))

    def _image(self) -> str:
        with self.database.writer() as session:
            image = Image(owner=CTXT.project_id, name="img", status="active", disk_format="raw", container_format="bare",
                          size=1, hash_value="0" * 128)
            session.add(image)
            session.flush()
            return image.id

    def _network(self) -> str:
        with self.database.writer() as session:
            made = networks.create(
                session, networks.Network(project_id=CTXT.project_id, name="net", mtu=1450), segment=None, rng=random.Random(1))
            networks.add_subnet(session, made, networks.Subnet(
                network_id=made.id, project_id=CTXT.project_id, cidr="10.0.0.0/24", gateway="10.0.0.1", pools=[["10.0.0.2", "10.0.0.254"]]))
            return made.id

    def create_server(self, **values: Any) -> tuple[str, int]:
        """As the Compute API writes it: the server, its port and its action; (server id, action id)."""
        flavor = Flavor(id="1", name="f", vcpus=1, ram_mb=128, root_gb=1)
        with self.database.writer() as session:
            server = Server(**{
                "project_id": CTXT.project_id, "user_id": CTXT.user_id, "name": "s", "hostname": "s", "flavor": flavor,
                "vcpus": 1, "ram_mb": 128, "total_gb": 1, "image_id": self.image_id, "vm_state": "building",
                "task_state": "scheduling", "reservation_id": "r-1", **values})
            session.add(server)
            session.flush()
            group = security_groups.default(session, CTXT.project_id)
            network = networks.usable(session, CTXT.project_id, among=[self.network_id])[0]
            ports.make_for_server(session, server_id=server.id, project_id=CTXT.project_id, network=network,
                                  fixed_ip=None, group_ids=[group.id], position=0, rng=random.Random())
            return server.id, self._add(session, server.id, "create")

    def begin_delete(self, server_id: str) -> int:
        """As the Compute API writes it; the action's id."""
        with self.database.writer() as session:
            session.execute(sa.update(Server).where(Server.id == server_id).values(task_state="deleting"))
            return self._add(session, server_id, "delete")

    def do(self, server_id: str, name: str) -> int:
        """An action that the server's host does alone, to its end; its id."""
        action_id = self.begin_action(server_id, name)
        self.run(action_id)
        return action_id

    def order(self, action_id: int) -> Order:
        """Of the action's step on the server's host, as the API casts it."""
        action = self.action(action_id)
        return Order(epoch=action.epoch, action=action_id, attempt=1, sequence=HOST_STEP_SEQUENCE, nonce=action.nonce)

    def cast_action(self, server_id: str, name: str) -> int:
        """As the compute API writes an action whose one step it casts; its id."""
        with self.database.writer() as session:
            server = servers.get(session, server_id)
            servers.begin(session, server, name)
            return actions.begin(
                session, (actions.SERVER, server_id), name, actions.Requester(CTXT.request_id, CTXT.user_id, CTXT.project_id),
                awaiting=actions.Awaiting(done=FIND_SERVER, step=ACTIONS[name].host_step, host=server.agent,
                                          saved={"host": server.host, "agent": server.agent})).id

    def use_threads(self, threads: Threads) -> None:
        """The conductor works in these, and workers in threads of their own, as daemons do."""
        self.bus.put = lambda work: threading.Thread(target=work, daemon=True).start()  # type: ignore[method-assign]
        self.engine = Engine(self.services, WORKFLOWS, owner="threads", submit=threads.submit, wake=threads.wake)

    def begin_action(self, server_id: str, name: str, *, inputs: dict[str, Any] | None = None) -> int:
        """As the Compute API writes it: the server is claimed for the action; the action's id."""
        with self.database.writer() as session:
            servers.begin(session, servers.get(session, server_id), name)
            return self._add(session, server_id, name, inputs=inputs)

    @staticmethod
    def _add(session: Any, server_id: str, name: str, *, inputs: dict[str, Any] | None = None) -> int:
        return actions.add(session, server_id=server_id, name=name, request_id=CTXT.request_id, user_id=CTXT.user_id,
                           project_id=CTXT.project_id, inputs=inputs).id

    def run(self, action_id: int) -> None:
        """Carry the action out to its end, or until it rests."""
        self.bus.put(lambda: self.engine.take_up(action_id))

    def go_on(self, action_id: int) -> None:
        """As the reconciler does: begin what is free, and send again what a worker should have."""
        self.expire_leases()
        self.bus.put(lambda: self.engine.take_up(action_id))
        self.bus.put(lambda: self.engine.resend(action_id))

    def advance(self, *, seconds: float) -> None:
        """All clocks show so many seconds more."""
        shifted = self.database.clock() + datetime.timedelta(seconds=seconds)
        began = utcnow()
        self.database.clock = self.now_is = lambda: shifted + (utcnow() - began)

    def action(self, action_id: int) -> actions.Action:
        with self.database.reader() as session:
            return session.get_one(actions.Action, action_id)

    def server(self, server_id: str) -> Server:
        with self.database.reader() as session:
            return session.scalars(sa.select(Server).where(Server.id == server_id)).one()

    def ports(self, server_id: str) -> list[Port]:
        """The server's ports in the order of its NICs."""
        with self.database.reader() as session:
            return ports.of_servers(session, [server_id])[server_id]

    def events(self, action_id: int) -> list[actions.ActionEvent]:
        with self.database.reader() as session:
            return actions.events(session, session.get_one(actions.Action, action_id))

    def guests(self) -> tuple[str, ...]:
        """What nova-compute has."""
        return self.build_endpoint.owned_unless(CTXT, digest="").server_ids

    def leftovers(self, server_id: str) -> dict[str, object]:
        """What anybody still holds for the server; all empty when nothing is left."""
        with self.database.reader() as session:
            claims = session.scalars(sa.select(Claim).where(Claim.server_id == server_id)).all()
            plugged = session.scalars(sa.select(Port).where(Port.device_id == server_id, Port.host.is_not(None))).all()
            sums = session.execute(sa.text("SELECT sum(vcpus_claimed), sum(ram_mb_claimed), sum(disk_gb_claimed), "
                                           "sum(servers_claimed) FROM hosts")).one()
        held = self.guests() + self.network.owned().server_ids
        found = {"claims": list(claims), "plugged": list(plugged), "sums": [n for n in sums if n],
                 "held": [held_id for held_id in held if held_id == server_id]}
        return {name: value for name, value in found.items() if value}


def _conf(directory: Path, hosts: int) -> cfg.ConfigOpts:
    conf = defaults()
    conf.set_override("host", "node")
    conf.set_override("state_path", str(directory))
    conf.set_override("driver", "fake", group="compute")
    conf.set_override("fake_hosts", hosts, group="compute")
    conf.set_override("driver", "fake", group="network")
    return conf


class Broken(errors.WorkerError):
    """A step that a test breaks."""
