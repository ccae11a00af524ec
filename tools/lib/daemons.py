# SPDX-License-Identifier: Apache-2.0
"""The separate daemons over a real RabbitMQ and a real database, on this machine's loopback, by their pids.

For tests/system and tools/bench_cloud; simulated guests and networks unless configured otherwise.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tools.lib.services import MariaDB, Postgres, Process, RabbitMQ, free_port
from tools.lib.services.processes import Identity, descendants, end, wait_until
from tools.lib.services.service import output_of, write_private

DAEMONS = ("nova-conductor", "nova-scheduler", "nova-network", "nova-compute", "nova-api")
_SILENT = {"nova-api", "nova-novncproxy", "nova-serialproxy"}  # they report to nobody
Options = Mapping[str, Mapping[str, object]]  # section -> option -> value


class NoTokenError(OSError):
    """The identity service answered a login with this."""


class Programs:
    """How ours are started: as pip installs them in `directory`, or beside this Python. Tests have another way."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    def path(self, name: str) -> str:
        return program(name) if self._directory is None else str(self._directory / name)

    def process(self, name: str, state_dir: Path) -> Process:
        """One that is not started yet."""
        return Process(name, state_dir)

    def output(self, name: str, *words: str) -> str:
        """What one prints that ends by itself within a minute.

        :raises ServiceError: it fails; with its exit code and what it said.
        """
        return output_of([self.path(name), *words], env=environment())


class Daemons:
    """One cloud of separate daemons; `with` starts and stops it, `purge()` removes its directory.

    `hosts`: simulated hosts in one nova-compute. `options` go on top of the written nova.conf. `address`: where
    the broker and the API listen; the database stays on the loopback. `programs`: how ours are started.
    """

    def __init__(
        self, state_dir: Path, *, database: str = "postgres", hosts: int = 10, options: Options | None = None,
        daemons: tuple[str, ...] = DAEMONS, address: str = "127.0.0.1", programs: Programs | None = None,
    ) -> None:
        self.state_dir = state_dir.absolute()
        self.broker = RabbitMQ(self.state_dir / "rabbitmq", address=address)
        place = self.state_dir / database
        self.database: Postgres | MariaDB = MariaDB(place) if database == "mariadb" else Postgres(place)
        self.programs = programs or Programs()
        self.processes = {name: self.programs.process(name, self.state_dir / "log") for name in daemons}
        self._hosts = hosts
        self.options = dict(options or {})  # read when it starts
        self._address = address
        self._kept_port = self.state_dir / "api-port"
        self._port = int(self._kept_port.read_text()) if self._kept_port.exists() else 0

    @property
    def url(self) -> str:
        """Where the API answers, without a path."""
        return f"http://{self._address}:{self._port}"

    @property
    def nova_conf(self) -> Path:
        return self.state_dir / "nova.conf"

    @property
    def rpc_secret(self) -> Path:
        """The key of messages between the daemons."""
        return self.state_dir / "rpc.secret"

    @property
    def clouds_yaml(self) -> Path:
        """For OS_CLIENT_CONFIG_FILE; its cloud is `nova-lite`."""
        return self.state_dir / "state" / "clouds.yaml"

    @property
    def password(self) -> str:
        """The admin's."""
        return (self.state_dir / "state" / "admin-password").read_text().strip()

    def start(self) -> None:
        """Start what does not run, in order, and return when every daemon has reported that it lives.

        :raises ServiceError: one does not; the text ends with its last log lines. All are ended again, unless some ran
        before: a cloud in use is not taken down.
        """
        was_running = any(process.is_alive() for process in self.processes.values())
        try:
            with ThreadPoolExecutor() as pool:
                for part in [pool.submit(self.broker.start), pool.submit(self.database.start)]:
                    part.result()
            self._configure()
            self.programs.output("nova-lite", "db", "sync", "--config-file", str(self.nova_conf))
            for name in self.processes:
                self.start_daemon(name)
            self.wait_until_up()
            self.write_clouds_yaml()
        except BaseException:
            if not was_running:
                self.stop()
            raise

    def rpc_key(self, host: str) -> str:
        """The line for `[rpc] secret_file` of a host's workers."""
        return self.programs.output("nova-lite", "keys", "rpc", "--config-file", str(self.nova_conf), "--host", host)

    def start_daemon(self, name: str) -> None:
        """Start one of them; returns at once."""
        argv = [self.programs.path(name), "--config-file", str(self.nova_conf)]
        self.processes[name].start(argv, env=environment())

    def set_share(self, name: str, *, nice: int) -> None:
        """Give a daemon more or less of the processors than the others: autogroup of sched(7), which counts each daemon's session as one."""
        Path(f"/proc/{self.processes[name].pid}/autogroup").write_text(str(nice))

    def wait_until_up(self, *, deadline_s: float = 60) -> None:
        """Until the API answers and every daemon that reports is up."""
        watch = tuple(self.processes.values())
        wait_until(self.is_answering, deadline_s=deadline_s, what="starting nova-api", watch=watch)
        expected, token = set(self.processes) - _SILENT, self.token()
        wait_until(lambda: self.alive(token) >= expected, deadline_s=deadline_s, what="hearing of all daemons", watch=watch)

    def is_answering(self) -> bool:
        """Get the API's versions."""
        try:
            return self.request("GET", "/")[0] in (200, 300)
        except (OSError, http.client.HTTPException):
            return False

    def alive(self, token: str) -> set[str]:
        """The kinds of daemons of which one at least is up."""
        status, body = self.request("GET", "/v2.1/os-services", token=token)
        return {row["binary"] for row in body["services"] if row["state"] == "up"} if status == 200 else set()

    def token(self) -> str:
        """A new token of the admin's.

        :raises NoTokenError: none was given.
        """
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        wire = self._connect()
        try:
            wire.request("POST", "/identity/v3/auth/tokens", json.dumps({"auth": {"identity": identity, "scope": scope}}),
                         {"Content-Type": "application/json"})
            answer = wire.getresponse()
            text = answer.read()
            if answer.status != 201:
                raise NoTokenError(f"{answer.status} {text.decode(errors='replace')[:500]}")
            return answer.headers["X-Subject-Token"]
        finally:
            wire.close()

    def request(self, method: str, path: str, body: object = None, *, token: str = "", microversion: str = "2.1") -> tuple[int, Any]:
        """One request: the status and the JSON of the answer ({} when there is none)."""
        wire = self._connect()
        try:
            headers = {"Content-Type": "application/json", "X-OpenStack-Nova-API-Version": microversion} | ({"X-Auth-Token": token} if token else {})
            wire.request(method, path, None if body is None else json.dumps(body), headers)
            answer = wire.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}
        finally:
            wire.close()

    def pids(self, name: str) -> list[int]:
        """A daemon's processes, its own first, then its workers."""
        pid = self.processes[name].pid
        return [pid, *(child.pid for child in descendants(pid))]

    def crash(self, name: str) -> None:
        """End a daemon and its workers by SIGKILL."""
        self.processes[name].kill9()

    def stop(self) -> None:
        """End all in order; nothing that was started stays."""
        for process in reversed(self.processes.values()):
            below = _below(process)
            process.end(by=signal.SIGTERM)
            for orphan in below:  # a parent that was killed left its workers
                end(orphan, by=signal.SIGKILL)
        self.database.stop()
        self.broker.stop()

    def purge(self) -> None:
        """Stop all and remove the directory."""
        self.stop()
        self.database.purge()
        self.broker.purge()
        output_of(["rm", "-rf", str(self.state_dir)])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address, self._port, timeout=30)

    def _configure(self) -> None:
        """Write nova.conf and clouds.yaml; the port stays what it was."""
        if not self._port:
            self._port = free_port()
            self._kept_port.write_text(str(self._port))
        if not self.rpc_secret.exists():
            write_private(self.rpc_secret, f"{secrets.token_hex(32)}\n")
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {"host": "fake", "state_path": self.state_dir / "state", "transport_url": self.broker.url,
                        "paste_config": Path(__file__).parents[2] / "etc" / "api-paste.ini"},
            "api": {"listen": self._address, "port": self._port, "public_url": self.url},
            "database": {"connection": self.database.create_database("nova")},
            "compute": {"driver": "fake", "fake_hosts": self._hosts},
            "network": {"driver": "fake"},
            "rpc": {"secret_file": self.rpc_secret},
        }
        for section, values in self.options.items():
            sections.setdefault(section, {}).update(values)
        lines = [line for section, values in sections.items()
                 for line in (f"[{section}]", *(f"{name} = {value}" for name, value in values.items()), "")]
        write_private(self.nova_conf, "\n".join(lines))

    def write_clouds_yaml(self) -> None:
        """Write it, for stock clients; JSON is YAML."""
        auth = {"auth_url": f"{self.url}/identity/v3", "username": "admin", "password": self.password,
                "project_name": "admin", "user_domain_name": "Default", "project_domain_name": "Default"}
        cloud = {"auth": auth, "region_name": "RegionOne", "identity_api_version": "3"}
        write_private(self.clouds_yaml, json.dumps({"clouds": {"nova-lite": cloud}}, indent=2))


def program(name: str) -> str:
    """Our program beside this Python, as pip installs it."""
    return os.path.join(os.path.dirname(sys.executable), name)


def environment() -> dict[str, str]:
    """The caller's, and no proxy between us and the loopback."""
    return {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}


def _below(process: Process) -> list[Identity]:
    who = process.identity
    return [] if who is None else descendants(who.pid)
