# SPDX-License-Identifier: Apache-2.0
"""A host in a throw-away network namespace, with a network worker and guests that are namespaces with a tap."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.network import names
from nova_lite.rpc.network import (
    Member,
    Network,
    Port,
    Rule,
    SecurityGroup,
    ServerPorts,
    Subnet,
)
from nova_lite.rpc.payload import to_wire
from tests.support.paths import ROOT
from tests.support.system import forks
from tests.support.wait import wait_until

_HOST = "mount -t tmpfs tmpfs /run; mkdir /run/netns; mount -t sysfs sysfs /sys; ip link set lo up; echo up; exec sleep 10000"
_LEASE_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace $ip/$mask dev $interface
[ -n "$mtu" ] && ip link set $interface mtu $mtu
[ -n "$staticroutes" ] || ip route replace default via $router
line="$ip/$mask router=$router mtu=$mtu dns=$dns domain=$domain"
set -- $staticroutes
while [ -n "$1" ]; do
 if [ "$2" = 0.0.0.0 ]; then ip route replace $1 dev $interface scope link; else ip route replace $1 via $2; fi; shift 2
done
echo "$line"
"""
DENY: tuple[Rule, ...] = ()
OUT = Rule(direction="egress")
PING = Rule(direction="ingress", protocol="icmp")
SSH = Rule(direction="ingress", protocol="tcp", port_min=22, port_max=22)
WORLD = "203.0.113.1"  # an address outside, see `Lab.add_world`
needs_programs = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("nft", "dnsmasq", "conntrack", "busybox", "socat", "unshare"))),
    reason="needs root, nftables, dnsmasq-base, conntrack, busybox, socat",
)


class WorkerDied(Exception):
    """The worker's process ended during a request, as an armed failpoint makes it."""


@dataclasses.dataclass(frozen=True)
class Guest:
    """A namespace that stands for a guest, plugged by the port's tap."""

    lab: Lab
    name: str
    port: Port

    def run(self, command: str, *, check: bool = True) -> str:
        """What the command prints, run within the guest."""
        return self.lab.sh(f"ip netns exec {self.name} sh -c '{command}'", check=check)

    def dhcp(self) -> str:
        """Request a lease and use it; returns what was leased, empty: nothing."""
        script = self.lab.directory / "lease"
        script.write_text(_LEASE_SCRIPT)
        script.chmod(0o755)
        return self.run(f"busybox udhcpc -f -n -q -t 4 -T 1 -O mtu -O staticroutes -i eth0 -s {script} 2>/dev/null", check=False).strip()

    def reaches(self, address: str) -> bool:
        """Whether a ping comes back."""
        return "1 received" in self.run(f"ping -n -c 1 -W 1 {address}", check=False)

    def metadata(self, path: str) -> str:
        """What the metadata service says of a document."""
        return self.run(f"curl -s -m 3 http://169.254.169.254/openstack/latest/{path}", check=False)

    def fetch(self, address: str, port: int) -> str:
        """What the other side sends over TCP, empty: no connection."""
        return self.run(f"socat -T 2 -u TCP:{address}:{port},connect-timeout=1 - 2>/dev/null", check=False).strip()


class Lab:
    """One host: `sh` runs in it, `request` calls its worker."""

    def __init__(self, directory: Path, *, name: str = "h1", options: tuple[str, ...] = (), beside: Lab | None = None) -> None:
        """`beside`: another cloud's worker on the host of that lab, which must be closed after this one."""
        self.directory = directory
        self._options = options
        self._name = name
        self._worker: forks.Fork | None = None
        self._children: list[subprocess.Popen[str]] = []
        self._log = (directory / "worker.log").open("a")
        self._holder = None if beside else subprocess.Popen(
            ["unshare", "-n", "-m", "--propagation", "private", "sh", "-c", _HOST], stdout=subprocess.PIPE, text=True
        )
        if self._holder is not None:
            assert self._holder.stdout is not None
            assert self._holder.stdout.readline() == "up\n"
            self.pid = self._holder.pid
        elif beside is not None:
            self.pid = beside.pid
        (directory / "nova.conf").write_text(
            "\n".join([f"[DEFAULT]\nhost = {name}\nstate_path = {directory / 'state'}\n[network]", *options]) + "\n"
        )

    def sh(self, command: str, *, check: bool = True) -> str:
        """What the shell command prints; it runs on the host."""
        done = subprocess.run(
            self._on_host("sh", "-c", command), capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def start_worker(self, *, failpoints: str = "") -> None:
        """Start the worker and wait until it has recovered."""
        self._worker = forks.start(
            forks.NETWORK, ["--config-file", str(self.directory / "nova.conf")], log=self._log, is_piped=True,
            environment={**os.environ, "PYTHONPATH": str(ROOT), "NOVA_LITE_FAILPOINTS": failpoints}, namespaces_of=self.pid)
        self._answer()

    def stop_worker(self) -> None:
        """Let the worker end by itself; guests go on."""
        assert self._worker is not None
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait(timeout=20)
        _end(self._worker)
        self._worker = None

    def kill_worker(self) -> None:
        """End the worker as a crash does."""
        assert self._worker is not None
        _end(self._worker)
        self._worker = None

    def request(self, method: str, *arguments: object, **named: object) -> Any:
        """The worker's answer; a deliberate error comes back as its dict."""
        assert self._worker is not None
        assert self._worker.stdin is not None
        request = {"method": method, "arguments": to_wire(arguments), "named": to_wire(named)}
        self._worker.stdin.write(json.dumps(request) + "\n")
        self._worker.stdin.flush()
        answer = self._answer()
        return answer.get("result", answer)

    def plug(self, name: str, port: Port, *, mac: str | None = None) -> Guest:
        """A guest on its tap, as libvirt would plug it."""
        tap, bridge = names.tap_name(port.id), names.bridge_name(port.network_id)
        self.sh(
            f"ip netns add {name} && ip link add {tap} type veth peer name eth0 address {mac or port.mac} netns {name}"
            f" && ip link set {tap} master {bridge} addrgenmode none up"
            f" && ip -n {name} link set lo up && ip -n {name} link set eth0 addrgenmode none up"
        )
        return Guest(self, name, port)

    def add_world(self) -> None:
        """The outside: namespace `world`, 203.0.113.1, reached by the host's 203.0.113.254."""
        self.sh(
            "ip netns add world && ip link add ext type veth peer name eth0 netns world"
            " && ip addr add 203.0.113.254/24 dev ext && ip link set ext up"
            " && ip -n world addr add 203.0.113.1/24 dev eth0 && ip -n world link set eth0 up"
            " && ip -n world link set lo up"
        )

    def listen(self, namespace: str | None, port: int) -> None:
        """Answer each TCP connection with the peer's address; within a namespace, or on the host itself."""
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        self._children.append(subprocess.Popen(
            self._on_host(
                *prefix, "socat", f"TCP-LISTEN:{port},fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR", ),
            text=True, cwd="/",
        ))
        where = f"ip netns exec {namespace} " if namespace else ""
        wait_until(lambda: f":{port} " in self.sh(f"{where}ss -Hltn"), f"a listener on port {port}")

    def sniff(self, *arguments: str, seconds: int, namespace: str | None = None) -> subprocess.Popen[str]:
        """`tcpdump ARGUMENTS` for some seconds, in a namespace or on the host, once it listens; its output is piped."""
        prefix = ["ip", "netns", "exec", namespace] if namespace else []
        child = subprocess.Popen(self._on_host(*prefix, "timeout", str(seconds), "tcpdump", *arguments), text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")
        self._children.append(child)
        assert child.stderr is not None
        for line in child.stderr:
            if "listening on" in line:  # with `-w` the name of the program is before it
                return child
        raise AssertionError("tcpdump ended before it listened")

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """A process on the host that ends with the lab."""
        child = subprocess.Popen(self._on_host(*arguments), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")
        self._children.append(child)
        return child

    def inventory(self) -> dict[str, Any]:
        """All that a worker could leave behind on the host."""
        return {
            "links": sorted(line.split()[0].split("@")[0] for line in self.sh("ip -br link").splitlines()),
            "namespaces": sorted(line.split()[0] for line in self.sh("ip netns").splitlines()),
            "rules": self.sh("nft list ruleset"),
            "routes": self.sh("ip route"),
            "dnsmasq": self.dnsmasq_pids(),
            "state": sorted(
                str(path) for path in (self.directory / "state").rglob("*")
                if path.is_file() and path.parent.name not in ("tombstones", "cloud")
            ),
        }

    def dnsmasq_pids(self) -> list[int]:
        """The dnsmasq processes of this lab, zombies excluded."""
        return [pid for pid, words in self._processes().items() if "dnsmasq" in words[0]]

    def metadata_pids(self) -> list[int]:
        """The metadata servers of this lab, zombies excluded."""
        return [pid for pid, words in self._processes().items() if "nova_lite.cmd.metadata" in words]

    def _processes(self) -> dict[int, list[str]]:
        """Arguments by pid of the processes that work for this lab's host."""
        mine = names.table_name(host=self._name, directory=str((self.directory / "state" / "network").resolve()))
        found = {}
        for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
            with contextlib.suppress(OSError):
                text = (entry / "cmdline").read_text()
                if mine in text:
                    found[int(entry.name)] = text.split("\0")
        return found

    def close(self) -> None:
        """End every process of the lab; the kernel removes the rest with the namespaces."""
        if self._worker is not None:
            self.kill_worker()
        for child in self._children:
            _end(child)
        for pid in self.dnsmasq_pids():
            os.kill(pid, 9)
        if self._holder is None:
            self._log.close()
            return
        for pid in self.sh("for n in $(ip netns | cut -d\" \" -f1); do ip netns pids $n; done", check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), 9)
        _end(self._holder)
        self._log.close()

    def _on_host(self, *arguments: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", f"--mount=/proc/{self.pid}/ns/mnt", "env", "-C", str(ROOT), *arguments]

    def _answer(self) -> dict[str, Any]:
        assert self._worker is not None
        assert self._worker.stdout is not None
        line = self._worker.stdout.readline()
        if not line:
            self._worker.wait(timeout=20)
            _end(self._worker)
            self._worker = None
            raise WorkerDied
        answer: dict[str, Any] = json.loads(line)
        return answer


def _end(process: subprocess.Popen[str] | forks.Fork) -> None:
    process.kill()
    process.wait()
    # A fork writes its errors to its log.
    streams = (process.stdin, process.stdout, process.stderr if isinstance(process, subprocess.Popen) else None)
    for stream in streams:
        if stream is not None:
            with contextlib.suppress(BrokenPipeError):
                stream.close()


def network(number: int, *, cidr: str = "10.0.0.0/24", gateway: str | None = "10.0.0.1", **fields: Any) -> Network:
    """Network `number`; the ranges of two may be equal."""
    subnet = Subnet(id=uuid(number, "5"), cidr=cidr, gateway=gateway)
    return Network(id=uuid(number, "e"), segment=100 + number, mtu=1450, subnets=(subnet,), **fields)


def port(number: int, on: Network, address: str, *, groups: tuple[str, ...] = (), is_secured: bool = True) -> Port:
    """Port `number` on the network."""
    return Port(
        id=uuid(number, "a"), network_id=on.id, mac=f"fa:16:3e:00:00:{number:02x}", addresses=(address,),
        hostname=f"guest{number}", group_ids=groups, is_secured=is_secured,
    )


def group(number: int, *rules: Rule, members: tuple[Port, ...] = (), revision: int = 0) -> SecurityGroup:
    """Security group `number`, with the ports' addresses as members."""
    places = tuple(Member(network_id=p.network_id, address=a) for p in members for a in p.addresses)
    return SecurityGroup(id=uuid(number, "c"), rules=rules, members=places, revision=revision)


def server(number: int, on: Network, *ports: Port, groups: tuple[SecurityGroup, ...] = (), fence: int = 1) -> ServerPorts:
    """Server `number` with the ports, whose one metadata document says its number."""
    return ServerPorts(
        server_id=uuid(number, "b"), fence=fence, networks=(on,), ports=ports, groups=groups,
        documents={"openstack/latest/who": f"server {number}"},
    )


def uuid(number: int, kind: str) -> str:
    """A UUID that shows what it is for; the first eleven characters differ, as device names need it."""
    return f"{kind}{number:07x}-{number:04x}-4000-8000-000000000000"


@contextlib.contextmanager
def running(
    directory: Path, *, name: str = "h1", options: tuple[str, ...] = (), beside: Lab | None = None
) -> Iterator[Lab]:
    """A lab with its worker started, closed in the end."""
    lab = Lab(directory, name=name, options=options, beside=beside)
    try:
        lab.start_worker()
        yield lab
    finally:
        lab.close()


NET = network(1)
