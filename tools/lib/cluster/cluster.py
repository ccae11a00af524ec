# SPDX-License-Identifier: Apache-2.0
"""A cloud on one machine: broker, database and control plane here, each compute host in namespaces of its own."""

from __future__ import annotations

import contextlib
import http.client
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.lib.cluster import settings as kept
from tools.lib.cluster.host import HANDS, ComputeHost
from tools.lib.daemons import Daemons
from tools.lib.services import Process, ServiceError, Switch
from tools.lib.services.processes import wait_until

PROXIES = ("nova-novncproxy", "nova-serialproxy")
CONTROL_PLANE = ("nova-conductor", "nova-scheduler", "nova-volume", *PROXIES, "nova-api")
_API_WORKERS = 2
_READY_S = 180  # 20 s on a quiet machine of two cores


@dataclass(frozen=True)
class Row:
    """One line of `status`: whether a part of the cluster works, and where it is."""

    name: str
    is_up: bool
    where: str


class Cluster:
    """All of one cluster, made again from its directory by each command."""

    def __init__(self, state: Path, settings: kept.Settings) -> None:
        self.state = state
        self.settings = settings
        self.switch = Switch(kept.switch_name(state), address=settings.address)
        self.switch.up()  # first: what listens on its address looks for free ports there
        self.control = Daemons(
            state / kept.CONTROL, database=settings.database, daemons=CONTROL_PLANE, address=self.switch.ip,
            options={"DEFAULT": {"host": "control", "my_ip": self.switch.ip}, "api": {
                "workers": _API_WORKERS, "listen": self.switch.ip}, "vnc": {"novncproxy_host": self.switch.ip},
                "serial_console": {"serialproxy_host": self.switch.ip}},
        )  # fmt: skip
        self.hosts = [
            ComputeHost(name, state=state, settings=host, switch=self.switch) for name, host in settings.hosts.items()
        ]

    def up(self, say: Callable[[str], None]) -> None:
        """Start what does not run; returns when every daemon on every host has reported that it lives.

        :raises ServiceError: something does not come up; hosts that did stay, to be looked at.
        """
        with ThreadPoolExecutor(2) as pool:
            control = pool.submit(self._start_control, say)
            for host in self.hosts:  # one after the other: each libvirtd probes QEMU, which takes a core
                host.real.up()
                say(f"host {host.name} at {host.settings.address}: namespaces and libvirtd")
            control.result()
        for host in self.hosts:
            host.allow(self.control.broker)
            host.start_daemons(self.control.broker, rpc_key=self.control.rpc_key(host.name))
        watch = [process for host in self.hosts for process in host.processes.values()]
        wait_until(lambda: not self._missing(), deadline_s=_READY_S, what="hearing of all hosts' daemons", watch=watch)
        say(f"{' and '.join(HANDS)} on every host")

    def down(self) -> None:
        """End everything, guests too, and remove the directory."""
        _each(self.hosts, lambda host: host.down())
        self.control.stop()
        self.switch.down()
        shutil.rmtree(self.state / kept.CONTROL)  # last: by the settings in it, a `down` that was cut off is done again
        self.state.rmdir()

    def host(self, name: str) -> ComputeHost:
        """One of the hosts.

        :raises ServiceError: there is none of that name.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise ServiceError(f"no host {name}; there are {', '.join(host.name for host in self.hosts)}")

    def status(self) -> list[Row]:
        """What works: services by their own answer, daemons by their heartbeats where they have any."""
        control = self.control
        alive = self.reported()
        rows = [
            Row("switch", self.switch.is_up(), f"{self.switch.name} {self.switch.address}"),
            Row("rabbitmq", control.broker.is_ready(), f"{control.broker.address}:{control.broker.port}"),
            Row(self.settings.database, control.database.is_ready(), f"{control.database.address}:{control.database.port}"),
            Row("nova-api", control.is_answering(), control.url),
        ]
        for name in CONTROL_PLANE[:-1]:
            process = control.processes[name]
            is_up = process.is_alive() if name in PROXIES else (name, "control") in alive
            rows.append(Row(name, is_up, _pid(process)))
        for host in self.hosts:
            rows.append(Row(f"{host.name} libvirtd", host.real.is_ready(), host.settings.address))
            rows += [
                Row(f"{host.name} {name}", (name, host.name) in alive, _pid(process))
                for name, process in host.processes.items()
            ]
        return rows

    def reported(self) -> set[tuple[str, str]]:
        """(binary, host) of the daemons that the API calls up; empty when it does not answer."""
        with contextlib.suppress(OSError, http.client.HTTPException, KeyError):
            status, body = self.control.request("GET", "/v2.1/os-services", token=self.control.token())
            if status == http.client.OK:
                return {(row["binary"], row["host"]) for row in body["services"] if row["state"] == "up"}
        return set()

    def _start_control(self, say: Callable[[str], None]) -> None:
        self.control.start()
        say(f"RabbitMQ, {self.settings.database}, {', '.join(CONTROL_PLANE)} at {self.control.url}")

    def _missing(self) -> set[tuple[str, str]]:
        return {(name, host.name) for host in self.hosts for name in HANDS} - self.reported()


def find(state: Path) -> Cluster | None:
    """The cluster of a directory; None: there is none."""
    settings = kept.read(state)
    return None if settings is None else Cluster(state, settings)


def make(state: Path, *, database: str | None, hosts: int | None) -> Cluster:
    """The cluster of a directory, new or grown; nothing is started.

    :raises ServiceError: the directory is something else's, or the cluster in it is another one.
    """
    settings = kept.read(state)
    if settings is None:
        if state.exists() and any(state.iterdir()):
            raise ServiceError(f"{state} is not empty and has no cluster in it; choose another --state")
        settings = kept.new(database or "postgres")
    if database not in (None, settings.database):
        raise ServiceError(f"the cluster in {state} has {settings.database}; run tools/cluster down first")
    settings = settings.with_hosts(max(len(settings.hosts), 2) if hosts is None else hosts)
    state.mkdir(parents=True, exist_ok=True)
    settings.write(state)
    return Cluster(state, settings)


def _each(hosts: Iterable[ComputeHost], act: Callable[[ComputeHost], None]) -> None:
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(act, host) for host in hosts]:
            done.result()


def _pid(process: Process) -> str:
    who = process.identity
    return f"pid {who.pid}" if who else "does not run"
