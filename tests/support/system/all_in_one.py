# SPDX-License-Identifier: Apache-2.0
"""`nova-lite up` as a process that tests start, kill and start again; fake, or real within a host of its own."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import json
import os
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT
from tests.support.system import forks
from tests.support.wait import wait_until
from tools.lib.services import Host, free_port

READY_S = 90.0
SETTLED_S = 120.0
CRASHED_S = 60.0
AWAY_S = 60.0
VOLUME_VERSION = "3.71"


class CloudGone(OSError):
    """Nobody answered; the text says whether the process lives, and the end of its log."""


class AllInOne:
    """The process and a small client of its API. `host` None: simulated guests on loopback; `options`: text of a nova.conf."""

    def __init__(self, directory: Path, *, host: Host | None = None, address: str = "127.0.0.1", options: str = "") -> None:
        self.directory = directory
        self.state = directory / "state"
        self.host = host
        self.failpoints = directory / "failpoints"
        self.log = directory / "nova-lite.log"
        self.config = directory / "nova.conf"
        self.config.write_text(options)
        self.url = f"http://{address}:{free_port()}"
        self._process: forks.Fork | None = None
        self._token = ""

    def start(self, *, needs_host: bool = True) -> None:
        """Start and wait until the API answers and, if `needs_host`, a compute host is up."""
        address, port = self.url.removeprefix("http://").split(":")
        words = ["up", "--state", str(self.state), "--listen", address, "--port", port, "--config-file", str(self.config),
                 *([] if self.host else ["--fake"])]
        environment = {**os.environ, "NOVA_LITE_FAILPOINTS_FILE": str(self.failpoints), "PYTHONPATH": str(ROOT)}
        with open(self.log, "ab") as output:
            self._process = forks.start(forks.NOVA_LITE, words, environment=environment, log=output,
                                        namespaces_of=self.host.pid if self.host else None)
        self.wait(lambda: self._is_ready(needs_host=needs_host), "the cloud to come up", seconds=READY_S)

    def _is_ready(self, *, needs_host: bool) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the cloud ended: {self.tail()}"
        try:
            if not self._token:  # which a restart leaves valid
                self.log_in()
            services = self.request("GET", "/v2.1/os-services?binary=nova-compute", version="2.53")["services"]
            return not needs_host or any(service["state"] == "up" for service in services)
        except (OSError, RuntimeError):
            return False

    def stop(self) -> None:
        """End it as an operator does."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def crash_at(self, point: str, method: str, path: str, body: Any = None) -> bool:
        """Send a request that passes the failpoint `point`, be killed there, and start anew.

        Whether it was answered: the answer may die with the process.
        """
        assert self._process is not None
        self.arm(f"{point}=crash")
        is_answered = False
        with contextlib.suppress(CloudGone):
            self.request(method, path, body)
            is_answered = True
        try:
            assert self._process.wait(CRASHED_S) != 0
        except subprocess.TimeoutExpired:
            raise AssertionError(f"nothing passed {point} within {CRASHED_S} s\n{self.tail()}") from None
        finally:
            self.arm("")
        self._age_actions()
        self.start()
        return is_answered

    def _age_actions(self) -> None:
        """As if it had been away for a minute: a conductor lets actions younger than seconds wait for the cast that died with it."""
        then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=AWAY_S)
        with contextlib.closing(sqlite3.connect(self.state / "nova-lite.sqlite", timeout=20)) as rows, rows:
            rows.execute("UPDATE actions SET updated_at = ? WHERE state IN ('queued', 'running', 'undoing') AND updated_at > ?",
                         2 * [then.strftime("%Y-%m-%d %H:%M:%S.%f")])

    def arm(self, spec: str) -> None:
        """Arm failpoints in the running process; an empty text disarms."""
        self.failpoints.write_text(spec)

    def _how_it_is(self) -> str:
        ended = self._process.poll() if self._process else "not started"
        return "the cloud runs" if ended is None else f"the cloud ended: {ended}"

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def log_in(self) -> None:
        cloud = json.loads((self.state / "clouds.yaml").read_text())["clouds"]["nova-lite"]["auth"]
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": {
            "name": cloud["username"], "domain": {"name": "Default"}, "password": cloud["password"]}}},
            "scope": {"project": {"name": cloud["project_name"], "domain": {"name": "Default"}}}}}
        request = urllib.request.Request(f"{self.url}/identity/v3/auth/tokens", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            self._token = answer.headers["X-Subject-Token"]

    @property
    def token(self) -> str:
        """Of the first admin."""
        return self._token

    def request(self, method: str, path: str, body: Any = None, *, version: str = "2.96", data: bytes | None = None) -> Any:
        """One request; the decoded body. :raises RuntimeError: any error status, with the answer's text."""
        headers = {"X-Auth-Token": self._token, "OpenStack-API-Version": f"compute {version},volume {VOLUME_VERSION}",
                   "Content-Type": "application/json" if data is None else "application/octet-stream"}
        payload = json.dumps(body).encode() if body is not None else data
        request = urllib.request.Request(f"{self.url}{path}", payload, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as refused:
            raise RuntimeError(f"{refused.code} {refused.read().decode()}") from None
        except (OSError, http.client.HTTPException) as unanswered:
            raise CloudGone(f"{method} {path}: {unanswered}; {self._how_it_is()}\n{self.tail()}") from None
        return json.loads(text) if text else None

    def wait(self, reached: Callable[[], bool], what: str, *, seconds: float = SETTLED_S) -> None:
        wait_until(reached, what, seconds=seconds, details=self.tail)

    def make_network(self, name: str, cidr: str) -> str:
        network = self.request("POST", "/network/v2.0/networks", {"network": {"name": name}})["network"]["id"]
        self.request("POST", "/network/v2.0/subnets", {"subnet": {"network_id": network, "cidr": cidr, "ip_version": 4}})
        return str(network)

    def make_image(self, path: Path, disk_format: str, **properties: str) -> str:
        image = self.request("POST", "/image/v2/images", {
            "name": path.name, "disk_format": disk_format, "container_format": "bare", **properties})["id"]
        self.request("PUT", f"/image/v2/images/{image}/file", data=path.read_bytes())
        return str(image)

    def boot(self, name: str, *, image: str, network: str, crash_at: str = "", **more: Any) -> str:
        """Create a server, with the cloud killed at the failpoint `crash_at` if given; its id."""
        body = {"name": name, "imageRef": image, "flavorRef": "42", "networks": [{"uuid": network}], **more}
        if not crash_at:
            return str(self.request("POST", "/v2.1/servers", {"server": body})["server"]["id"])
        self.crash_at(crash_at, "POST", "/v2.1/servers", {"server": body})
        [made] = self.request("GET", f"/v2.1/servers?name={name}")["servers"]
        return str(made["id"])

    def status(self, server_id: str) -> str:
        """The server's status; GONE when it is not there."""
        try:
            return str(self.request("GET", f"/v2.1/servers/{server_id}")["server"]["status"])
        except RuntimeError as refused:
            if str(refused).startswith("404"):
                return "GONE"
            raise

    def wait_for_status(self, server_id: str, status: str) -> None:
        self.wait(lambda: self.status(server_id) == status, f"server {server_id} to be {status}")
