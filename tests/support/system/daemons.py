# SPDX-License-Identifier: Apache-2.0
"""The separate daemons for tests: real RabbitMQ, real database, guests and networks simulated unless a test says else."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.system.forks import ForkedPrograms
from tools.lib.daemons import DAEMONS, Daemons, Options, Programs
from tools.lib.services import RabbitMQ, VirtualHost

MIB = 1024 * 1024
WITH_VOLUMES = (*DAEMONS, "nova-volume")


class Cloud(Daemons):
    """Daemons, with what a test does through their API as the admin. Forks, unless `programs` says else."""

    def __init__(self, directory: Path, *, programs: Programs | None = None, broker: RabbitMQ | None = None, **options: Any) -> None:  # of Daemons
        super().__init__(directory, programs=programs or ForkedPrograms(), **options)
        if broker is not None:
            self.broker = VirtualHost(broker, str(self.state_dir))

    @functools.cached_property
    def _kept_token(self) -> str:
        """One for all requests: a login costs more than most of them."""
        return self.token()

    def call(self, method: str, path: str, body: object = None, *, expect: int = 200, microversion: str = "2.1") -> Any:
        """The JSON of an answer that must have the status."""
        status, answer = self.request(method, path, body, token=self._kept_token, microversion=microversion)
        assert status == expect, (method, path, status, answer)
        return answer

    def prepare(self) -> dict[str, Any]:
        """An image and a network; the body of a boot from them."""
        image = self.call("POST", "/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"}, expect=201)
        self.upload(f"/image/v2/images/{image['id']}/file", bytes(MIB))
        network = self.call("POST", "/network/v2.0/networks", {"network": {"name": "n"}}, expect=201)["network"]
        subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.66.0.0/24"}
        self.call("POST", "/network/v2.0/subnets", {"subnet": subnet}, expect=201)
        flavors = self.call("GET", "/v2.1/flavors/detail")["flavors"]
        smallest = min((flavor for flavor in flavors if flavor["disk"]), key=lambda flavor: flavor["ram"])
        return {"imageRef": image["id"], "flavorRef": smallest["id"], "networks": [{"uuid": network["id"]}]}

    def upload(self, path: str, data: bytes) -> None:
        wire = self._connect()
        with contextlib.closing(wire):
            wire.request("PUT", path, data, {"X-Auth-Token": self._kept_token, "Content-Type": "application/octet-stream"})
            answer = wire.getresponse()
            assert answer.status == 204, answer.read()

    def boot(self, wanted: dict[str, Any], name: str) -> str:
        """Create a server; its id."""
        return str(self.call("POST", "/v2.1/servers", {"server": {**wanted, "name": name}}, expect=202)["server"]["id"])

    def server(self, server_id: str) -> dict[str, Any] | None:
        """As the API shows it; None: gone."""
        status, answer = self.request("GET", f"/v2.1/servers/{server_id}", token=self._kept_token)
        return None if status == 404 else answer["server"]

    def is_active(self, server_id: str) -> bool:
        shown = self.server(server_id)
        assert shown is not None
        assert shown["status"] != "ERROR", shown["fault"]
        return bool(shown["status"] == "ACTIVE")


@contextlib.contextmanager
def running(
    directory: Path, *, database: str = "postgres", hosts: int = 3, options: Options | None = None, programs: Programs | None = None,
    has_own_broker: bool = False, daemons: tuple[str, ...] = DAEMONS,
) -> Iterator[Cloud]:
    """A cloud that is up; ended and removed afterwards. Those whose broker is stopped or killed have their own."""
    cloud = Cloud(directory, database=database, hosts=hosts, options=options, programs=programs, daemons=daemons,
                  broker=None if has_own_broker else shared_broker())
    try:
        cloud.start()
        yield cloud
    finally:
        cloud.purge()


@functools.cache
def shared_broker() -> RabbitMQ:
    """For all tests of this process that neither stop nor slow it: a start takes three seconds of CPU, a virtual host none."""
    broker = RabbitMQ(Path(tempfile.mkdtemp(prefix="nova-lite-broker-")))
    atexit.register(broker.purge)
    broker.start()
    return broker
