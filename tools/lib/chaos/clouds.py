# SPDX-License-Identifier: Apache-2.0
"""The clouds that are broken: separate daemons on RabbitMQ and PostgreSQL, or everything in one process on SQLite."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from tools.lib.bench.cloud import Login
from tools.lib.chaos.clock import Clocks
from tools.lib.daemons import DAEMONS, Daemons, environment, program
from tools.lib.services import Process, ServiceError, free_port
from tools.lib.services.processes import descendants, wait_until
from tools.lib.services.service import write_private

HOSTS = 3
_QUOTA = {"instances": -1, "cores": -1, "ram": -1, "ports": -1}
LOSSY = Path(__file__).with_name("lossy")


class Target(Protocol):
    """What faults and the load need of a cloud."""

    state: Path
    clocks: Clocks

    @property
    def login(self) -> Login: ...

    @property
    def daemons(self) -> Sequence[str]: ...

    def start(self) -> None: ...

    def start_daemon(self, name: str) -> None:
        """Start it again, if it does not run."""

    def process(self, name: str) -> Process: ...

    def pids(self, name: str) -> list[int]:
        """Its own and its workers'; empty: it does not run."""
        ...

    def audit(self, *arguments: str) -> list[dict[str, Any]]:
        """What `nova-lite audit` finds, in what is at rest now."""
        ...

    def purge(self) -> None: ...


class _Daemons(Daemons):
    """Each is started with what makes its messages unreliable and its clock wrong, once that is wanted."""

    def __init__(self, state: Path, *, rates: Path, clocks: Clocks) -> None:
        super().__init__(state, hosts=HOSTS, options={"quota": _QUOTA})
        self._rates, self._clocks = rates, clocks

    def start_daemon(self, name: str) -> None:
        with self.unreliable(name):
            super().start_daemon(name)

    @contextlib.contextmanager
    def unreliable(self, name: str) -> Iterator[None]:
        """What is started meanwhile is that daemon."""
        path = os.pathsep.join([str(LOSSY), *filter(None, [os.environ.get("PYTHONPATH")])])
        with _environment(PYTHONPATH=path, CHAOS_MESSAGE_RATES=str(self._rates), **self._clocks.environment(name)):
            yield


class SeparateDaemons:
    """RabbitMQ, PostgreSQL and one daemon of each kind; nova-compute has three simulated hosts."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.rates, self.clocks = state / "message-rates", Clocks(state / "clocks")
        self.cloud = _Daemons(state, rates=self.rates, clocks=self.clocks)

    @property
    def login(self) -> Login:
        return Login(f"{self.cloud.url}/identity/v3", "admin", self.cloud.password, "admin")

    @property
    def daemons(self) -> Sequence[str]:
        return DAEMONS

    def start(self) -> None:
        self.cloud.start()

    def start_daemon(self, name: str) -> None:
        self.cloud.start_daemon(name)

    def process(self, name: str) -> Process:
        return self.cloud.processes[name]

    def pids(self, name: str) -> list[int]:
        return _pids(self.process(name))

    @contextlib.contextmanager
    def another(self, daemon: str, name: str, **options: str) -> Iterator[Process]:
        """One more daemon of the kind, with other options of [DEFAULT]."""
        lines = self.cloud.nova_conf.read_text().splitlines()
        kept = [line for line in lines if line.partition(" = ")[0] not in options]
        config = self.state / f"{daemon}-{name}.conf"
        changed = "\n".join(f"{option} = {value}" for option, value in options.items())
        write_private(config, "\n".join(kept).replace("[DEFAULT]", f"[DEFAULT]\n{changed}"))
        process = Process(f"{daemon}-{name}", self.state / "log")
        with self.cloud.unreliable(f"{daemon}-{name}"):
            process.start([program(daemon), "--config-file", str(config)], env=environment())
        try:
            yield process
        finally:
            process.end()

    def audit(self, *arguments: str) -> list[dict[str, Any]]:
        return _audit("--config-file", str(self.cloud.nova_conf), *arguments)

    def purge(self) -> None:
        self.cloud.purge()


class OneProcess:
    """`nova-lite up --fake` on SQLite."""

    def __init__(self, state: Path) -> None:
        self.state = state / "state"
        self._top = state
        self._up = Process("nova-lite", state)
        self._port = free_port()
        self.clocks = Clocks(state / "clocks")

    @property
    def login(self) -> Login:
        password = (self.state / "admin-password").read_text().strip()
        return Login(f"http://127.0.0.1:{self._port}/identity/v3", "admin", password, "admin")

    @property
    def daemons(self) -> Sequence[str]:
        return ("nova-lite",)

    def start(self) -> None:
        """Its state is on a small file system of its own, where the machine allows."""
        self.state.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,mode=700", "chaos", str(self.state)], check=True)
        (self._top / "nova.conf").write_text("[quota]\n" + "".join(f"{name} = {value}\n" for name, value in _QUOTA.items()))
        self.start_daemon("nova-lite")
        wait_until((self.state / "clouds.yaml").exists, deadline_s=60, what="starting nova-lite up", watch=(self._up,))

    def start_daemon(self, name: str) -> None:
        self.process(name).start(
            [program("nova-lite"), "up", "--fake", "--hosts", str(HOSTS), "--state", str(self.state), "--port", str(self._port),
             "--config-file", str(self._top / "nova.conf")], env={**environment(), **self.clocks.environment(name)})

    def process(self, name: str) -> Process:
        assert name == "nova-lite"
        return self._up

    def pids(self, name: str) -> list[int]:
        return _pids(self.process(name))

    def audit(self, *arguments: str) -> list[dict[str, Any]]:
        return _audit("--state", str(self.state), "--port", str(self._port), *arguments)

    def purge(self) -> None:
        self._up.end()
        if self.state.is_mount():
            subprocess.run(["umount", str(self.state)], check=True)
        subprocess.run(["rm", "-rf", str(self._top)], check=True)


SHAPES: dict[str, type[SeparateDaemons | OneProcess]] = {"daemons": SeparateDaemons, "up": OneProcess}


def _pids(process: Process) -> list[int]:
    who = process.identity
    return [] if who is None else [who.pid, *(child.pid for child in descendants(who.pid))]


def _audit(*arguments: str) -> list[dict[str, Any]]:
    """:raises ServiceError: it could not be done."""
    kept = {name: value for name, value in environment().items() if not name.startswith("OS_")}
    done = subprocess.run([program("nova-lite"), "audit", "-f", "json", "--settled", "0", *arguments], env=kept,
                          capture_output=True, text=True, timeout=200, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
        return found
    except ValueError:
        raise ServiceError(f"nova-lite audit: {done.stderr.strip().splitlines()[-1:]}") from None


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """With these environment variables."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
