# SPDX-License-Identifier: Apache-2.0
"""The first server: boots it through the public API, waits for it, logs in to it by ssh."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from tools.lib.quickstart.resources import NAME
from tools.lib.quickstart.screen import Failed, Step

FLAVOR = "m1.nano"
_ACTIVE_S, _SSH_S = 120.0, 300.0
_POLL_S = 0.25
# Proves the way there and back: our address, our name, and the metadata service, which the guest queries anew.
_PROOF = ("echo host=$(hostname); echo uuid=$(wget -q -O- http://169.254.169.254/openstack/latest/meta_data.json |"
          " sed 's/.*\"uuid\": *\"\\([^\"]*\\)\".*/\\1/'); echo ec2=$(wget -q -O-"
          " http://169.254.169.254/latest/meta-data/instance-id); read up rest < /proc/uptime; echo up=$up")  # fmt: skip


class FirstServer:
    """The server `quickstart` of this cloud."""

    def __init__(self, cloud: Any, *, key: Path) -> None:
        self._cloud = cloud
        self._key = key
        self._known_hosts = key.with_name("known_hosts")

    def boot(self, step: Step, *, image: Any, network: Any) -> Any:
        """Create it unless it exists; one that failed is made again, one that is off is started.

        :raises Failed: the cloud refused.
        """
        compute = self._cloud.compute
        found = next((server for server in compute.servers(name=f"^{NAME}$") if server.name == NAME), None)
        if found is not None and found.status == "ERROR":
            step.progress = f"{found.id} is in ERROR: making it again"
            compute.delete_server(found)
            compute.wait_for_delete(found, interval=_POLL_S, wait=60)
            found = None
        if found is not None:
            step.did = f"{NAME} is there, {found.status}"
            if found.status == "SHUTOFF" and found.task_state is None:
                compute.start_server(found)
                step.did = f"started {NAME}, which was off"
            return found
        self._known_hosts.unlink(missing_ok=True)    # another server, another host key, the same address
        flavor = compute.find_flavor(FLAVOR, ignore_missing=False)
        made = compute.create_server(name=NAME, image_id=image.id, flavor_id=flavor.id, key_name=NAME,
                                     networks=[{"uuid": network.id}])  # fmt: skip
        step.did = f"created {NAME}: {FLAVOR}, 1 CPU, {flavor.ram} MiB; {made.id}"
        return made

    def wait_active(self, step: Step, server: Any) -> Any:
        """Poll until it is ACTIVE, showing its words.

        :raises Failed: it ends in ERROR, or nothing happens for two minutes.
        """
        deadline = time.monotonic() + _ACTIVE_S
        while time.monotonic() < deadline:
            server = self._cloud.compute.get_server(server.id)
            step.progress = f"{server.status} {server.task_state or ''}".strip()
            if server.status == "ACTIVE" and server.task_state is None:
                host = server.hypervisor_hostname or server.compute_host or "?"
                step.did = f"ACTIVE on host {host}, address {address(server)}"
                return server
            if server.status == "ERROR":
                raise Failed(f"server {server.id} is in ERROR: {(server.fault or {}).get('message', 'no reason given')}",
                             remedy=f"openstack server event list {server.id}; the log in the state directory")
            time.sleep(_POLL_S)
        raise Failed(f"server {server.id} is not ACTIVE after {_ACTIVE_S:.0f} s: {step.progress}",
                     remedy=f"openstack server event list {server.id}; the log in the state directory",
                     detail=self.console(server))  # fmt: skip

    def wait_ssh(self, step: Step, server: Any) -> None:
        """Poll port 22 of the guest from this host.

        :raises Failed: it does not open; with the end of the console.
        """
        where, deadline = address(server), time.monotonic() + _SSH_S
        next_look = 0.0
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((where, 22), timeout=1) as opened:
                opened.settimeout(5)
                if opened.recv(4) == b"SSH-":
                    step.did = f"{where}:22 is open: the guest is up"
                    return
            if time.monotonic() > next_look:
                self._start_if_off(server)
                step.progress = self._last_words(server)
                next_look = time.monotonic() + 1
            time.sleep(_POLL_S)
        raise Failed(f"{where}:22 does not open within {_SSH_S:.0f} s", detail=self.console(server),
                     remedy=f"read the console above; openstack console log show {server.id}")  # fmt: skip

    def _start_if_off(self, server: Any) -> None:
        """A guest may have gone off with the machine; the cloud hears of it a moment after its own start."""
        now = self._cloud.compute.get_server(server.id)
        if now.status == "SHUTOFF" and now.task_state is None:
            self._cloud.compute.start_server(now)

    def log_in(self, step: Step, server: Any) -> None:
        """Run a command in the guest, which fetched our key from the metadata service.

        :raises Failed: it cannot be run, or the guest is not the one that was created.
        """
        command = [*self.ssh(server), "-oBatchMode=yes", "-oConnectTimeout=20", _PROOF]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL)  # fmt: skip
        said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        if done.returncode:
            raise Failed(f"ssh ended with {done.returncode}: {done.stderr.strip()}", detail=self.console(server),
                         remedy=f"openstack server delete {NAME}, then run this again; it is made with the present key")
        if said.get("uuid") != server.id:
            raise Failed(f"the metadata service answered the guest that it is {said.get('uuid') or 'nobody'}, not {server.id}",
                         remedy="read the log in the state directory")  # fmt: skip
        step.did = (f"{said.get('host')}, up {float(said.get('up', 0)):.0f} s; its metadata service says "
                    f"{said.get('ec2')}, {said['uuid']}")  # fmt: skip

    def ssh(self, server: Any) -> list[str]:
        """The command that logs in, with host keys in a file of its own."""
        return ["ssh", "-i", str(self._key), f"-oUserKnownHostsFile={self._known_hosts}", "-oStrictHostKeyChecking=no",
                "-oLogLevel=ERROR", f"root@{address(server)}"]  # fmt: skip

    def console(self, server: Any) -> str:
        """The end of the serial console, framed."""
        text = self._console_text(server, lines=25)
        return f"----- console of {server.id}, last lines -----\n{text.rstrip()}\n-----"

    def _last_words(self, server: Any) -> str:
        """What the guest says that it does: the last `@@ SECONDS WORD …` on its console."""
        marks = [line.partition("@@ ")[2] for line in self._console_text(server, lines=40).splitlines() if "@@ " in line]
        return f"guest: {marks[-1].strip()[:60]}" if marks else "guest: starting"

    def _console_text(self, server: Any, *, lines: int) -> str:
        try:
            return str(self._cloud.compute.get_server_console_output(server, length=lines)["output"])
        except Exception as error:
            return f"(no console: {error})"


def address(server: Any) -> str:
    """The server's first fixed IPv4 address.

    :raises Failed: it has none.
    """
    for ports in server.addresses.values():
        for port in ports:
            if port["version"] == 4:
                return str(port["addr"])
    raise Failed(f"server {server.id} has no address", remedy=f"openstack server show {server.id}")
