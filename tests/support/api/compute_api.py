# SPDX-License-Identifier: Apache-2.0
"""The Compute API over SQLite with nobody behind it: casts are kept for the test to look at."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.request import Parts
from nova_lite.conductor.network_sync import NetworkSync
from nova_lite.context import Context
from nova_lite.db.base import utcnow
from nova_lite.db.compute.flavors import Flavor
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.db.image.images import Image
from nova_lite.db.network.networks import Network, Subnet
from nova_lite.runtime import tokens
from tests.support import databases
from tests.support.api import declared_responses, schemas
from tests.support.api.policies import SharedPolicy
from tests.support.api.users import PROJECTS, request_as
from tests.support.options import defaults


class Sender:
    """In place of one RPC client: records each message as (topic, host, method, arguments), and returns what the test has set."""

    def __init__(
        self, sent: list[tuple[str, str, str, dict[str, Any]]], topic: str, host: str, answers: dict[str, Any]
    ) -> None:
        self._sent, self._topic, self._host, self._answers = sent, topic, host, answers

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def send(ctxt: Context, **arguments: Any) -> Any:
            assert isinstance(ctxt, Context)
            self._sent.append((self._topic, self._host, method, arguments))
            answer = self._answers.get(method, "")
            if isinstance(answer, Exception):
                raise answer
            return answer() if callable(answer) else answer

        self.__dict__[method] = send  # one object per method, as the real client has
        return send


class RpcServer:
    """Of no bus: there is nothing to stop."""

    def stop(self) -> None: ...

    def wait(self) -> None: ...


class Rpc:
    """As RpcClients."""

    publish_limit_s = None

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {"console_output": "console text"}  # an exception is raised, a function called
        self.endpoint: Any = None
        self.conductor = Sender(self.sent, "conductor", "", self.answers)

    def serve_api(self, endpoint: Any, *, host: str) -> RpcServer:
        """No conductor reports by itself: a test calls `endpoint`."""
        self.endpoint = endpoint
        return RpcServer()

    def compute(self, agent: str) -> Sender:
        return Sender(self.sent, "compute", agent, self.answers)

    def network(self, agent: str) -> Sender:
        return Sender(self.sent, "network", agent, self.answers)


@dataclasses.dataclass
class Answer:
    status: int
    body: Any
    headers: Any


class ComputeApi:
    """Sends requests to the Compute API as one of its users."""

    service, root = "compute", "/v2.1"

    def __init__(self, database: Database, conf: cfg.ConfigOpts) -> None:
        self.database, self.conf, self.rpc = database, conf, Rpc()
        self.server_environ: dict[str, Any] = {}  # what the HTTP server adds to each request's environment
        service, self.parts = SERVICES[self.service], Parts(conf, database, self.rpc)  # type: ignore[arg-type]
        self._application = schemas.share(Application(service, self.parts, SharedPolicy(conf, service.rules)))

    def request(
        self, method: str, path: str, body: Any = None, *, user: str = "alice", version: str = "2.1"
    ) -> Answer:
        http = request_as(user, method, path, body, base_url=f"http://cloud:8774{self.root}")
        http.headers["OpenStack-API-Version"] = f"{self.service} {version}"
        http.environ.update(self.server_environ)
        answer = http.get_response(self._application)
        document = answer.json if answer.body else None
        if answer.status_int < 300:
            declared_responses.check(self.service, method, path, body, version, document)
        return Answer(answer.status_int, document, answer.headers)

    def get(self, path: str, **more: Any) -> Answer:
        return self.request("GET", path, **more)

    def post(self, path: str, body: Any, **more: Any) -> Answer:
        return self.request("POST", path, body, **more)

    def put(self, path: str, body: Any, **more: Any) -> Answer:
        return self.request("PUT", path, body, **more)

    def delete(self, path: str, **more: Any) -> Answer:
        return self.request("DELETE", path, **more)

    def add(self, *rows: Any) -> None:
        with self.database.writer() as session:
            session.add_all(rows)

    def change(self, work: Callable[[Session], Any]) -> Any:
        with self.database.writer() as session:
            return work(session)

    def push_network(self) -> None:
        """What the conductor does when the API wakes it: its messages to network workers are in `rpc.sent` too."""
        assert "push_network" in [method for _, _, method, _ in self.rpc.sent]
        services = SimpleNamespace(database=self.database, conf=self.conf, now=utcnow, network=self.rpc.network)
        NetworkSync(cast(Any, services)).push()

    def counted(self) -> AbstractContextManager[list[str]]:
        """The statements sent to the database meanwhile."""
        return databases.counted(self.database)


def make(tmp_path: Path) -> ComputeApi:
    """The Compute API with empty tables, in a directory of its own."""
    conf = defaults()
    conf.set_override("state_path", str(tmp_path))
    tokens.KeyRepository(tokens.directory_of(conf)).create()
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    return ComputeApi(databases.fresh(tmp_path), conf)


IMAGE = "11111111-1111-4111-8111-111111111111"
NETWORK = "22222222-2222-4222-8222-222222222222"
SERVER = {"name": "vm", "flavorRef": "1", "imageRef": IMAGE}


def furnish(api: ComputeApi) -> ComputeApi:
    """A public image, alice's network and a small flavor: what one server needs."""
    api.add(
        Image(id=IMAGE, owner=PROJECTS["admin"], name="cirros", status="active", visibility="public",
              disk_format="qcow2", container_format="bare", size=1000, virtual_size=2000, properties={"os": "linux"}),
        network(NETWORK, "net"), Flavor(id="1", name="m1", vcpus=1, ram_mb=64, root_gb=1, extra_specs={"a": "b"}))
    return api


def network(network_id: str, name: str, *, user: str = "alice", segment: int = 1) -> Network:
    subnet = Subnet(project_id=PROJECTS[user], cidr="10.0.0.0/24", gateway="10.0.0.1", pools=[["10.0.0.2", "10.0.0.254"]])
    return Network(id=network_id, project_id=PROJECTS[user], name=name, segment=segment, mtu=1450, subnets=[subnet])


def host(name: str, *, zone: str = "nova") -> tuple[Host, Service]:
    """A compute host and its worker, just seen."""
    return (
        Host(name=name, agent=name, availability_zone=zone, vcpus=8, ram_mb=4096, disk_gb=100, architecture="x86_64",
             hypervisor_type="QEMU", hypervisor_version=7002000, hypervisor_hostname=name, virt_type="qemu",
             virt_reason="/dev/kvm is missing", host_ip="127.0.0.1", disk_free_gb=90, cpu_info='{"arch": "x86_64"}',
             uptime=" 01:11:15 up 3 days,  4:05,  2 users,  load average: 0.10, 0.20, 0.30"),
        Service(binary="nova-compute", host=name, agent=name, availability_zone=zone))


def boot(api: ComputeApi, *, user: str = "alice", version: str = "2.1", **fields: Any) -> str:
    """A new server's id, still building."""
    made = api.post("/servers", {"server": {**SERVER, **fields}}, user=user, version=version)
    assert made.status == 202, made.body
    return str(made.body["server"]["id"])


def settle(api: ComputeApi, server_id: str, **columns: Any) -> None:
    """Set what conductors and workers would have set: by default, active on host h1."""
    values = {"vm_state": "active", "task_state": None, "host": "h1", "agent": "h1", "power_state": 1, **columns}
    api.change(lambda session: session.execute(sa.update(Server).where(Server.id == server_id).values(**values)))


def act(api: ComputeApi, server_id: str, word: str, value: Any = None, **more: Any) -> Answer:
    """Request an action on the server."""
    return api.post(f"/servers/{server_id}/action", {word: value}, **more)


def message(answer: Answer) -> str:
    """What a refusal says."""
    return str(next(iter(answer.body.values()))["message"])
