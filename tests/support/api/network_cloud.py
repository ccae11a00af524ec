# SPDX-License-Identifier: Apache-2.0
"""The network service over SQLite or another database, with the in-process message bus and a fake network worker."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from nova_lite import conf as options
from nova_lite.api import network
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.api.wsgi.service import ApiService
from nova_lite.conductor.network_sync import NetworkSync
from nova_lite.db.base import utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.db.network import networks, ports, security_groups
from nova_lite.network.fake import FakeNetwork
from nova_lite.network.records import Records
from nova_lite.network.service import Inventory, NetworkUpdates, Servers
from nova_lite.payloads import ports as port_payloads
from nova_lite.rpc import transport
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.interface import serve
from nova_lite.rpc.network import NetworkRpc
from nova_lite.rpc.order import Order
from nova_lite.runtime.periodic import Periodic
from nova_lite.values.flavor import Flavor
from tests.support import databases
from tests.support.api import declared_responses, schemas
from tests.support.api.policies import SharedPolicy
from tests.support.api.users import PROJECTS, request_as
from tests.support.wait import wait_until

_SERVICE = ApiService("network", network.RESOURCES, network.fault_body)


@dataclasses.dataclass
class Answer:
    status: int
    body: Any

    @property
    def fault(self) -> str:
        return str(self.body["NeutronError"]["message"])


class NetworkCloud:
    """Sends requests to the service as one of its users; `worker` is the network worker of the only host."""

    def __init__(self, directory: Path, *, database: Database | None = None) -> None:
        file = directory / "nova.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {directory}\ntransport_url = inprocess://\n")
        self.conf = options.load([], files=[str(file)])
        self.database = database or databases.fresh(directory)
        self.bus = transport.connect(self.conf)
        self.records = Records(None)
        services = SimpleNamespace(
            conf=self.conf, database=self.database, now=utcnow, network=lambda agent: NetworkRpc.client(self.bus, host=agent))
        sync = NetworkSync(cast(Any, services))
        self._push = Periodic("network sync", sync.push, interval_s=0.02)
        self.agent = f"agent-{directory.name}"  # the in-process bus is one for the whole test process
        self.worker = FakeNetwork(self.records, source=sync, agent=self.agent)
        self._server = serve(NetworkRpc, self.bus, self.agent,
                             [Servers(self.worker, ConductorRpc.client(self.bus), host=self.agent), NetworkUpdates(self.worker), Inventory(self.worker)])
        self._server.start()
        self._push.start()
        rules = [route.policy for route in routes_of(network.RESOURCES)]
        self.rpc = RpcClients(self.bus)
        parts = Parts(self.conf, self.database, self.rpc)
        self._application = schemas.share(Application(_SERVICE, parts, SharedPolicy(self.conf, rules)))
        self._add_host()

    def close(self) -> None:
        self._push.stop()
        self._server.stop()
        self._server.wait()
        self.bus.cleanup()
        self.database.close()

    def _add_host(self) -> None:
        with self.database.writer() as session:
            session.add(Service(binary="nova-network", host="host-a", agent=self.agent))
            session.add(Host(
                name="host-a", agent=self.agent, vcpus=4, ram_mb=4096, disk_gb=40, architecture="x86_64",
                hypervisor_type="fake", hypervisor_version=1, hypervisor_hostname="host-a", virt_type="fake"))

    def request(self, method: str, path: str, body: Any = None, *, user: str = "alice") -> Answer:
        http = request_as(user, method, path, body, base_url="http://cloud:8774/network/v2.0")
        answer = http.get_response(self._application)
        content = answer.json if answer.body else None
        if answer.status_int < 300:
            declared_responses.check("network", method, path, body, "2.0", content)
        return Answer(answer.status_int, content)

    def get(self, path: str, *, user: str = "alice") -> Answer:
        return self.request("GET", path, user=user)

    def delete(self, path: str, *, user: str = "alice") -> Answer:
        return self.request("DELETE", path, user=user)

    def create(self, resource: str, *, user: str = "alice", **fields: Any) -> Answer:
        """POST one `network`, `security_group`, …; the answer's body is the resource itself."""
        answer = self.request("POST", f"/{resource.replace('_', '-')}s", {resource: fields}, user=user)
        return Answer(answer.status, answer.body.get(resource, answer.body))

    def update(self, resource: str, resource_id: str, *, user: str = "alice", **fields: Any) -> Answer:
        path = f"/{resource.replace('_', '-')}s/{resource_id}"
        answer = self.request("PUT", path, {resource: fields}, user=user)
        return Answer(answer.status, answer.body.get(resource, answer.body))

    def network(self, *, cidr: str = "10.0.0.0/24", user: str = "alice", **fields: Any) -> tuple[str, str]:
        """A new network with one subnet: both ids."""
        made = self.create("network", user=user, **fields)
        subnet = self.create("subnet", user=user, network_id=made.body["id"], cidr=cidr)
        assert (made.status, subnet.status) == (201, 201), (made, subnet)
        return made.body["id"], subnet.body["id"]

    def boot(self, server_id: str, network_id: str, *, user: str = "alice") -> str:
        """Create the rows of an active server on the host, and its port there; returns the port's id."""
        project_id = PROJECTS[user]
        with self.database.writer() as session:
            server = Server(
                id=server_id, project_id=project_id, user_id=user, name=server_id, hostname=server_id, flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1),
                vcpus=1, ram_mb=1, total_gb=1, vm_state="active", reservation_id="r", host="host-a", agent=self.agent)
            session.add(server)
            port_id = ports.make_for_server(
                session, server_id=server_id, project_id=project_id, network=networks.get(session, network_id),
                fixed_ip=None, group_ids=[security_groups.default(session, project_id).id], position=0,
                rng=random.Random(server_id))
            ports.plug(session, server_id, host="host-a", is_up=True)
        with self.database.reader() as session:
            self.worker.prepare(port_payloads.server_ports(session, server, order=Order(epoch=1, action=7), documents={"a": "b"}))
        return port_id

    @staticmethod
    def eventually(condition: Callable[[], Any]) -> None:
        """Wait until the condition is true: casts are asynchronous."""
        wait_until(condition, "a cast to arrive")
