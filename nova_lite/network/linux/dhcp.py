# SPDX-License-Identifier: Apache-2.0
"""DHCP and DNS for guests: one dnsmasq in each network's namespace, configured with every guest's address."""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import pwd
import re
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.network.linux.dhcp_release import send_release
from nova_lite.network.linux.namespaces import inside, run
from nova_lite.rpc.network import Network, Port, Subnet
from nova_lite.worker import unprivileged
from nova_lite.worker.processes import end, has_arguments

LOG = logging.getLogger(__name__)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
# What a port without a name of its own is called; nobody else is.
_MADE_UP = re.compile(r"host-\d+-\d+-\d+-\d+", re.IGNORECASE)
# Names that dnsmasq takes for an option of the line, by their looks.
_OPTION = re.compile(r"\d+[smhdw]?|ignore|infinite", re.IGNORECASE)
_MAX_LEASES = 65536
# Whom dnsmasq becomes once its sockets are open: the user that Debian's package dnsmasq-base makes, else the one that has nothing.
_USERS = ("dnsmasq", unprivileged.USER)


class Dhcp:
    """Runs dnsmasq so that a daemon's restart does not stop it.

    Files of dnsmasq, which has no rights, are under `run_directory`/<network id>/; who has which name is also kept under
    `directory`/<network id>/, where it survives a restart of the machine.
    """

    def __init__(
        self, directory: Path, *, run_directory: Path, domain: str, dns_servers: Iterable[str], lease_s: int
    ) -> None:
        self._directory = directory
        self._run_directory = run_directory
        self._domain = domain
        self._dns_servers = tuple(dns_servers)
        self._lease_s = lease_s

    def ensure(self, network: Network, ports: Iterable[Port]) -> None:
        """Have dnsmasq run as the network needs it, knowing exactly `ports`; a right one keeps running."""
        served = [subnet for subnet in network.subnets if subnet.enable_dhcp]
        if not served:
            self.stop(network.id)
            return
        self._end_former(network.id)
        kept = self._directory / network.id
        kept.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self._run_directory / network.id
        # Its user passes through and lists nothing; what is there belongs to root.
        for made in (*reversed(folder.parents[:2]), folder):
            made.mkdir(mode=0o711, exist_ok=True)
        known = list(ports)
        arguments = self._arguments(network, served, folder)
        pid = self._running(network.id, arguments)
        stale = _stale_leases(folder / "leases", known)
        hosts = _hosts(served, known, _text(kept / "hosts"), domain=self._domain)
        _replace(kept / "hosts", hosts)
        changed = _replace(folder / "hosts", hosts, owner=_user().pw_uid)
        if pid is not None and not stale:
            if changed:
                os.kill(pid, signal.SIGHUP)
            return
        self.stop(network.id)
        # dnsmasq would refuse a guest the address that another MAC has leased, and reads leases only at start.
        _drop_leases(folder / "leases", stale)
        run(arguments, namespace=names.namespace_name(network.id))

    def release(self, network: Network, ports: Iterable[Port]) -> None:
        """End the leases of ports that are no longer known, as the guests would have done by DHCPRELEASE."""
        leases = _leases(self._run_directory / network.id / "leases")
        gone = [(port.mac.lower(), address) for port in ports for address in port.addresses]
        held = [lease for lease in gone if lease in leases]
        servers = {subnet.cidr: subnet.gateway or names.METADATA_ADDRESS for subnet in network.subnets}
        for mac, address in held:
            server = next((s for cidr, s in servers.items() if _contains(cidr, address)), names.METADATA_ADDRESS)
            inside(names.namespace_name(network.id), lambda m=mac, a=address, s=server: send_release(m, a, s))  # type: ignore[misc]

    def stop(self, network_id: str) -> None:
        """End the network's dnsmasq; leases stay in its file."""
        pid = self._running(network_id, None)
        if pid is not None:
            end(pid)

    def remove(self, network_id: str) -> None:
        """End the network's dnsmasq and remove its files."""
        self.stop(network_id)
        self._end_former(network_id)
        for directory in (self._directory, self._run_directory):
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(directory / network_id)
        with contextlib.suppress(OSError):  # of other networks
            self._run_directory.rmdir()

    def _end_former(self, network_id: str) -> None:
        """End the dnsmasq that a worker of release 0.1 has left, which runs as root, with files in the state directory."""
        folder = self._directory / network_id
        pid = _pid(folder / "pid")
        if pid is not None:
            if has_arguments(pid, [f"--pid-file={folder / 'pid'}"]):
                end(pid)
            for name in ("pid", "leases"):
                (folder / name).unlink(missing_ok=True)

    def _running(self, network_id: str, arguments: list[str] | None) -> int | None:
        """The pid of the network's dnsmasq; with `arguments`, only if it was started with exactly these."""
        path = self._run_directory / network_id / "pid"
        pid = _pid(path)
        mine = [f"--pid-file={path}"] if arguments is None else arguments
        return pid if pid is not None and has_arguments(pid, mine) else None

    def _arguments(self, network: Network, served: list[Subnet], folder: Path) -> list[str]:
        """It knows clients by chaddr alone, which the filters compare with the port's MAC, and takes no name from them."""
        user = _user()
        return [
            "dnsmasq", "--conf-file=/dev/null", f"--pid-file={folder / 'pid'}", f"--user={user.pw_name}",
            f"--group={grp.getgrgid(user.pw_gid).gr_name}", "--dhcp-ignore-clid", "--dhcp-ignore-names", "--bind-interfaces",
            "--interface=gw", "--except-interface=lo", "--no-hosts", "--no-ping", "--quiet-dhcp", "--bogus-priv",
            "--dhcp-authoritative", f"--dhcp-hostsfile={folder / 'hosts'}", f"--dhcp-leasefile={folder / 'leases'}",
            f"--dhcp-lease-max={_lease_max(served)}", f"--domain={self._domain}", f"--local=/{self._domain}/",
            f"--dhcp-option=26,{network.mtu}", *self._resolvers(network),
            *(argument for number, subnet in enumerate(served) for argument in self._subnet(f"s{number}", subnet)),
        ]

    def _subnet(self, tag: str, subnet: Subnet) -> list[str]:
        """Options by RFC 2132 and 3442: 3 router, 6 name server, 121 routes; a client uses 121 or 3, not both."""
        cidr = ipaddress.IPv4Network(subnet.cidr)
        lease = f"--dhcp-range=set:{tag},{cidr.network_address},static,{cidr.netmask},{self._lease_s}s"
        metadata = f"{names.METADATA_ADDRESS}/32"
        if subnet.gateway is None:
            return [
                lease, f"--shared-network=gw,{cidr.network_address}", f"--dhcp-option=tag:{tag},3",
                f"--dhcp-option=tag:{tag},6,{names.METADATA_ADDRESS}", f"--dhcp-option=tag:{tag},121,{metadata},0.0.0.0",
            ]
        return [
            lease, f"--dhcp-option=tag:{tag},3,{subnet.gateway}", f"--dhcp-option=tag:{tag},6,{subnet.gateway}",
            f"--dhcp-option=tag:{tag},121,{metadata},{subnet.gateway},0.0.0.0/0,{subnet.gateway}",
        ]

    def _resolvers(self, network: Network) -> list[str]:
        given = [server for subnet in network.subnets for server in subnet.dns] or list(self._dns_servers)
        if given:
            return ["--no-resolv", *(f"--server={ipaddress.IPv4Address(server)}" for server in dict.fromkeys(given))]
        # A stub resolver on the host's loopback cannot be reached from a namespace; systemd keeps the real list there.
        behind_stub = Path("/run/systemd/resolve/resolv.conf")
        return [f"--resolv-file={behind_stub if behind_stub.exists() else '/etc/resolv.conf'}"]


def _user() -> pwd.struct_passwd:
    """:raises OSError: the machine has none of the users."""
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise OSError(f"there is no user {' or '.join(_USERS)} for dnsmasq")


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _hosts(served: list[Subnet], ports: Iterable[Port], before: str = "", *, domain: str) -> str:
    """dnsmasq's host lines, `MAC,name,address`: the first address in a served subnet; DHCPv4 gives a NIC one.

    A name is its first holder's, though others come with it on a shared network: who has it in `before`, the text as it
    was, else who comes first. Others are called by their address. What dnsmasq would take for a lease time or for an order
    to ignore the client has the domain behind it.
    """
    holders = {name.partition(".")[0].lower(): (mac, address) for mac, name, address in (line.split(",") for line in before.splitlines())}
    served_ports = []
    for port in ports:
        address = next((a for a in port.addresses if any(_contains(s.cidr, a) for s in served)), None)
        if address is not None and _MAC.fullmatch(port.mac.lower()):
            served_ports.append((port.hostname, (port.mac.lower(), address)))
    lines, taken = [], set()
    for name, (mac, address) in sorted(served_ports, key=lambda one: holders.get(one[0].lower()) != one[1]):
        is_free = _LABEL.fullmatch(name) and not _MADE_UP.fullmatch(name) and name.lower() not in taken
        is_option = _OPTION.fullmatch(name) is not None
        given = name if is_free and (domain or not is_option) else f"host-{address.replace('.', '-')}"
        taken.add(given.lower())
        shown = f"{given}.{domain}" if given == name and is_option else given
        lines.append(f"{mac},{shown},{address}\n")
    return "".join(sorted(lines))


def _contains(cidr: str, address: str) -> bool:
    return ipaddress.IPv4Address(address) in ipaddress.IPv4Network(cidr)


def _lease_max(served: list[Subnet]) -> int:
    return min(_MAX_LEASES, sum(ipaddress.IPv4Network(subnet.cidr).num_addresses for subnet in served))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _replace(path: Path, text: str, *, owner: int = 0) -> bool:
    """Write the file at once if its text differs; whether it did. No fsync: it is rebuilt from the records.

    It is readable for `owner` only, a user's number.
    """
    if path.exists() and path.read_text() == text:
        return False
    half = path.with_suffix(".tmp")
    half.unlink(missing_ok=True)
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        os.fchown(file.fileno(), owner, -1)
        file.write(text)
    half.rename(path)
    return True


def _leases(path: Path) -> set[tuple[str, str]]:
    """(MAC, address) of what dnsmasq has leased; its lines are `expiry MAC address name client-id`."""
    lines = _text(path).splitlines()
    return {(fields[1].lower(), fields[2]) for line in lines if len(fields := line.split()) >= 4}


def _stale_leases(path: Path, ports: Iterable[Port]) -> set[tuple[str, str]]:
    """Leases of addresses that now belong to another MAC."""
    macs = {address: port.mac.lower() for port in ports for address in port.addresses}
    return {(mac, address) for mac, address in _leases(path) if macs.get(address, mac) != mac}


def _drop_leases(path: Path, stale: set[tuple[str, str]]) -> None:
    if stale:
        lines = path.read_text().splitlines(keepends=True)
        _replace(path, "".join(line for line in lines if tuple(line.lower().split()[1:3]) not in stale))
