# SPDX-License-Identifier: Apache-2.0
"""A compute host of its own on this machine: own network, mounts, name, libvirtd, and a wire to others."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from tools.lib.services.errors import ServiceError
from tools.lib.services.libvirtd import URI, LibvirtDaemons, guest_cgroups, remove_cgroups, write_configuration
from tools.lib.services.processes import Identity, Process, end, identify, pids, wait_until
from tools.lib.services.sandbox import Sandbox
from tools.lib.services.service import Service, clean_environment, output_of
from tools.lib.services.switch import Switch

_NAMESPACES = ("net", "mnt", "uts")
_MACHINE_CACHE = Path("/var/cache/libvirt")


class Host(Service):
    """Network, mount and UTS namespace with a libvirtd in it that believes to be alone on a machine.

    Inside, /run, /etc/hosts, /etc/resolv.conf, libvirt's directories and those of `private` are the host's
    own, the rest of the file system is the machine's. /run/netns is empty, so network namespaces made inside
    are the host's own too.

    :param name: host name and libvirt's idea of it; also names the port on the switch.
    :param tunnel_ip: its address on the switch, without prefix length; the device there is `uplink`.
    :param private: further absolute directories to keep apart, e.g. ("/var/lib/nova",).
    :param hosts: lines for /etc/hosts, name to address, beside its own name; see also `write_hosts`.
    """

    uri = URI

    def __init__(
        self,
        name: str,
        *,
        state_dir: Path,
        tunnel_ip: str,
        switch: Switch,
        uplink: str = "uplink0",
        private: Sequence[str] = (),
        hosts: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(state_dir)
        self.name, self.tunnel_ip, self.switch, self.uplink = name, tunnel_ip, switch, uplink
        self._hosts = dict(hosts or {})
        self._private = {
            place: self.state_dir / "private" / place.strip("/").replace("/", "-") for place in private
        }
        self._holder = Process("holder", self.state_dir)
        self._daemons = LibvirtDaemons(self.state_dir, enter=self.command)
        self._others: dict[str, Process] = {}
        hidden = [
            target for _source, target in self._sandbox().binds if self.state_dir.is_relative_to(target)
        ]
        if hidden:
            raise ServiceError(
                f"state of host {name} is inside {hidden[0]}, which the host has its own of; use another"
            )

    @property
    def pid(self) -> int:
        """The process that holds the namespaces; `nsenter -t PID -m -n -u` enters them.

        :raises ServiceError: the host is down.
        """
        return self._holder.pid

    @property
    def migration_uri(self) -> str:
        """Where other hosts' libvirt reaches this one's."""
        return f"qemu+tcp://{self.tunnel_ip}/system"

    def up(self) -> None:
        """Start it, as `start()`."""
        self.start()

    def _start(self) -> None:
        """Make the namespaces, plug it in, start libvirtd and wait for it; what runs is left as it is."""
        if not self._holder.is_alive():
            self._prepare()
            self._holder.start(self._sandbox().command(["sleep", "infinity"]), env=clean_environment())
            wait_until(self._is_held, deadline_s=20, what=f"making host {self.name}", watch=(self._holder,))
        if not (self.switch.is_plugged(self.name) and self._has_uplink()):
            self.switch.plug(self.name, pid=self.pid, address=self.tunnel_ip, device=self.uplink)
        self._daemons.start(is_ready=self.is_ready, listen=True)

    def down(self) -> None:
        """End everything that runs in it, guests and daemons too, and remove its port and its directory."""
        self.purge()

    def stop(self) -> None:
        """Power it off: all in it ends, the wire is unplugged; directories stay, `start()` boots it again."""
        inside = self.processes()
        cgroups = [path for who in inside for path in guest_cgroups(who.pid)]
        self._daemons.stop()
        keep = {self._holder.identity, *(identify(reaper) for reaper in self._daemons.reapers())}
        for who in inside:
            if who not in keep:  # the reapers go last, by themselves, else process 1 inherits zombies
                end(who, deadline_s=5)
        with contextlib.suppress(ServiceError):
            wait_until(lambda: not self._daemons.reapers(), deadline_s=3, what="reaping")
        for who in self.processes():
            end(who, deadline_s=1)
        self._holder.end()
        remove_cgroups(cgroups)
        self.switch.unplug(self.name)

    def kill9(self) -> None:
        """Crash libvirtd inside; guests go on running and `start()` brings it back."""
        self._daemons.libvirtd.crash()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """libvirtd is there, and does not answer."""
        pid = self._daemons.libvirtd.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def is_ready(self) -> bool:
        """List the guests of the libvirtd inside."""
        try:
            output_of(self.command(["virsh", "-q", "-c", URI, "list"]), timeout_s=15)
        except ServiceError:
            return False
        return True

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that becomes `argv` inside, in the caller's working directory, same pid."""
        return ["nsenter", "-t", str(self.pid), "-m", "-n", "-u", f"--wdns={Path.cwd()}", "--", *argv]

    def run(
        self, argv: Sequence[str], *, timeout_s: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a command inside and return what it said.

        :raises subprocess.CalledProcessError: it failed, unless `check` is False. Its last output and
            libvirtd's log are its note.
        :raises subprocess.TimeoutExpired: it took longer than `timeout_s`, and was killed.
        """
        try:
            return subprocess.run(
                self.command(argv),
                check=check,
                timeout=timeout_s,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        except subprocess.CalledProcessError as error:
            error.add_note(f"{(error.stderr or error.stdout)[-2000:]}\n{self._daemons.libvirtd.tail()}")
            raise

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        output: IO[bytes] | int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start a command inside that the caller looks after; stdout and stderr go to `output`."""
        return subprocess.Popen(
            self.command(argv), env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )

    def daemon(self, name: str) -> Process:
        """Return the daemon of that name; start it by `.start(host.command([…]))`. It ends with the host.

        Its log and record are in the host's directory, so a later process finds it by the same name.
        """
        return self._others.setdefault(name, Process(name, self.state_dir))

    def write_hosts(self, hosts: Mapping[str, str]) -> None:
        """Set the names that resolve inside (name to address), beside localhost and its own; seen at once."""
        self._hosts = dict(hosts)
        lines = ["127.0.0.1 localhost", f"{self.tunnel_ip} {self.name}"]
        lines += [f"{address} {name}" for name, address in self._hosts.items() if name != self.name]
        # written in place: the file inside is this very inode
        (self.state_dir / "hosts").write_text("\n".join(lines) + "\n")

    def processes(self) -> list[Identity]:
        """Return all that runs in it, also in network namespaces made inside."""
        who = self._holder.identity
        if who is None:
            return []
        machine, ours = _namespaces(os.getpid()), _namespaces(who.pid)
        own = {(kind, ours[kind]) for kind in ours if ours[kind] != machine[kind]}
        inside = [identify(pid) for pid in pids() if own & set(_namespaces(pid).items())]
        return [found for found in inside if found is not None]

    def _has_uplink(self) -> bool:
        """Whether the wire of our name ends here: a run that was killed leaves its host with one of the same name."""
        return f"{self.uplink}:" in Path(f"/proc/{self.pid}/net/dev").read_text()

    def _is_held(self) -> bool:
        # the name of the command changes to sleep when all namespaces and mounts are made
        try:
            return Path(f"/proc/{self.pid}/comm").read_text().strip() == "sleep"
        except FileNotFoundError:
            return False

    def _prepare(self) -> None:
        here = self.state_dir
        for name in ("run/lock", "lib", "cache", "log", "pids"):
            (here / name).mkdir(parents=True, exist_ok=True)
        for place in self._private.values():
            place.mkdir(parents=True, exist_ok=True)
        # two hosts with one uuid refuse to migrate to each other; the same directory keeps its uuid
        host_uuid = str(uuid.uuid5(uuid.NAMESPACE_URL, f"nova-lite-host:{here}:{self.name}"))
        write_configuration(here / "etc", listen="0.0.0.0", tcp=True, host_uuid=host_uuid)
        known = _MACHINE_CACHE / "qemu" / "capabilities"
        if known.is_dir() and not (here / "cache" / "qemu").exists():
            shutil.copytree(known, here / "cache" / "qemu" / "capabilities")  # saves 1 to 8 s of probing QEMU
        self.write_hosts(self._hosts)
        (here / "resolv.conf").write_text(
            "# no name server: lookups fail at once instead of waiting for one\n"
        )

    def _sandbox(self) -> Sandbox:
        here = self.state_dir
        binds = {
            "/etc/hosts": here / "hosts",
            "/etc/resolv.conf": here / "resolv.conf",
            "/etc/libvirt": here / "etc",
            "/var/lib/libvirt": here / "lib",
            "/var/cache/libvirt": here / "cache",
            "/var/log/libvirt": here / "log",
            **self._private,
            "/run": here / "run",
        }
        return Sandbox(
            binds=tuple((str(source), target) for target, source in binds.items()),
            tmpfs=("/run/netns",),
            hostname=self.name,
        )


def _namespaces(pid: int) -> dict[str, str]:
    """Return which namespaces a process is in; empty when it is gone, a zombie, or not ours to look at."""
    try:
        return {kind: os.readlink(f"/proc/{pid}/ns/{kind}") for kind in _NAMESPACES}
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return {}
