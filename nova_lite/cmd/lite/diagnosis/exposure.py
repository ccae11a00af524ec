# SPDX-License-Identifier: Apache-2.0
"""Checks of what is open to others: files, passwords, the message bus, listening sockets, addresses in guests' reach.

They read nova.conf and the kernel's tables alone: nothing needs to run, and nothing is connected to.
"""

from __future__ import annotations

import ipaddress
import json
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import oslo_messaging as messaging
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd.lite.diagnosis.finding import Finding, note, ok, problem
from nova_lite.rpc import signing
from nova_lite.runtime import addresses

_PROC_NET = Path("/proc/net")
_KERNEL = Path("/proc/sys/net/ipv4/conf")
_DEFAULT_PORTS = {"postgresql": 5432, "mysql": 3306, "rabbit": 5672}
_LIBVIRT = 16509  # its TCP socket, without TLS
_LISTENS = "0A"  # TCP_LISTEN of the kernel's net/tcp_states.h
# Devices of our own and of libvirt; their addresses are each machine's own.
_OURS = re.compile(r"(br|up|vx|tap)-?[0-9a-f]{8}-|virbr|docker|veth")
# What a password is not: names of what it is for, and what is written where one is to be put.
_GUESSED = frozenset({"", "nova", "guest", "rabbit", "rabbitmq", "postgres", "mysql", "root", "admin", "secret", "password", "changeme"})


def check_configuration_files(conf: cfg.ConfigOpts) -> Finding:
    files = [Path(name) for name in (conf.config_file or conf.default_config_files or ())]
    secret = [path for path in files if path.exists() and _has_password(conf)]
    if conf.rpc.secret_file and Path(conf.rpc.secret_file).exists():
        secret.append(Path(conf.rpc.secret_file))
    readable = [str(path) for path in secret if path.stat().st_mode & stat.S_IRWXO]
    if readable:
        return problem(f"every user of this machine can read passwords or keys in {', '.join(readable)}", f"chmod o= {' '.join(readable)}")
    return ok("no other user reads passwords in them" if files else "there are none")


def check_passwords(conf: cfg.ConfigOpts) -> Finding:
    """Of the message bus and the database, as far as they are ones that anybody would try."""
    guessed = [f"{what} as {user or 'nobody'}" for what, user, password in _logins(conf)
               if not password or password.lower() in _GUESSED or password == user]
    if guessed:
        return problem(f"nova.conf logs in with a password that anybody would try: {', '.join(guessed)}",
                       "choose another, such as that of `openssl rand -hex 24`, there and in nova.conf; RabbitMQ: rabbitmqctl change_password, "
                       "and rabbitmqctl delete_user guest")
    return ok("those of nova.conf are not ones that anybody would try" if list(_logins(conf)) else "there are none: no broker and no database server")


def check_message_bus(conf: cfg.ConfigOpts) -> Finding:
    if not _brokers(conf):
        return ok("no broker: nova-lite up keeps messages in its process")
    if not conf.rpc.secret_file:
        return note("messages are not signed: who can log in to the broker commands every host",
                    "nova-lite keys rpc, and [rpc] secret_file on all hosts: docs/operating.md")
    try:
        host, _ = signing.read_key(Path(conf.rpc.secret_file))
    except (OSError, errors.WrongKeyFile) as error:
        return problem(f"[rpc] secret_file: {error}", f"nova-lite keys rpc, or copy the file from another host to {conf.rpc.secret_file}")
    if host and host != conf.host:
        return problem(f"{conf.rpc.secret_file} has the key of host {host}, and this host is {conf.host}", f"nova-lite keys rpc --host {conf.host}")
    if conf.rpc.allow_unsigned:
        return note("messages are signed, and unsigned ones are accepted", "remove [rpc] allow_unsigned once all daemons have the secret")
    return ok(f"messages are signed with {'the key of this host' if host else 'the secret of the cloud'}")


def check_listeners(conf: cfg.ConfigOpts) -> Finding:
    """Sockets of this machine on all of its addresses that only the cloud itself needs."""
    wanted = {_LIBVIRT: "libvirt"} | {port: "the message broker" for _, port in _brokers(conf)}
    database = _database(conf)
    if database is not None and database.host:
        wanted[database.port or _DEFAULT_PORTS.get(database.get_backend_name(), 0)] = "the database"
    exposed = sorted(f"{wanted[port]} (TCP port {port})" for port in _on_all_addresses() & wanted.keys())
    if exposed:
        return note(f"on all addresses of this machine: {', '.join(exposed)}",
                    "let them listen on loopback, or on the internal network if other hosts need them: RabbitMQ listeners.tcp.1, "
                    "PostgreSQL listen_addresses, MariaDB bind-address, libvirt listen_tcp = 0")
    return ok("message broker, database and libvirt do not listen on all addresses of this machine")


def check_api_exposure(conf: cfg.ConfigOpts) -> Finding:
    """Passwords and tokens go by these sockets."""
    sockets = {"API": (conf.api.listen, conf.api.public_url), "novncproxy": (conf.vnc.novncproxy_host, conf.vnc.novncproxy_base_url),
               "serialproxy": (conf.serial_console.serialproxy_host, conf.serial_console.base_url)}
    plain = [f"{name} on {address}" for name, (address, url) in sockets.items()
             if not addresses.is_loopback(address) and not str(url).startswith(("https:", "wss:"))]
    if plain:
        return note(f"others reach it without TLS: {', '.join(plain)}", "a proxy with TLS in front, its URL in nova.conf, and listen = 127.0.0.1")
    if conf.concurrency == "eventlet":
        return note("concurrency is eventlet, whose HTTP server has no bounds on connections and slow senders",
                    "concurrency = threads, or a proxy in front that has such bounds")
    return ok("API and consoles are reached from this machine alone, or by URLs with TLS")


def check_guests(conf: cfg.ConfigOpts) -> Finding:
    """What guests reach beside their networks."""
    if conf.network.guests_reach_host:
        return note("[network] guests_reach_host is on: guests reach every service that listens on this host", "remove it from nova.conf")
    ranges = {"transit_cidr": conf.network.transit_cidr, "auto_cidr": conf.network.auto_cidr}
    own = {option: address for option, text in (("my_ip", conf.my_ip), ("tunnel_ip", conf.network.tunnel_ip)) for address in _address(text)}
    for option, address in own.items():
        for name, cidr in ranges.items():
            if address in ipaddress.IPv4Network(str(cidr)):
                return problem(f"{option} {address} is within [network] {name} {cidr}, which guests use",
                               f"set [network] {name} to another range")
    if conf.network.tunnel_ip:
        known = [ipaddress.IPv4Network(str(one)) for one in (*own.values(), *conf.network.protected_cidrs)]
        reached = [f"{address} ({device})" for device, address in _addresses() if not any(address in one for one in known)]
        if reached:
            return note(f"guests on other hosts reach this machine at {', '.join(reached)}", "add them to [network] protected_cidrs on all hosts")
        if own["tunnel_ip"].is_global:
            return note(f"tunnel_ip {own['tunnel_ip']} is a public address, and VXLAN is neither encrypted nor authenticated",
                        "an address of a network of the hosts alone")
    return ok("they reach their networks and the outside, and no address of the cloud")


def check_kernel(_conf: cfg.ConfigOpts) -> Finding:
    """What the kernel takes from the network; the filters of guests do not depend on it."""
    routed = [name for name in ("all", "default") if _setting(name, "route_localnet")]
    if routed:
        return problem("net.ipv4.conf.{all,default}.route_localnet is 1: others reach what listens on 127.0.0.1",
                       "sysctl -w net.ipv4.conf.all.route_localnet=0 net.ipv4.conf.default.route_localnet=0")
    if not (_setting("all", "rp_filter") or _setting("default", "rp_filter")):
        return note("rp_filter is 0: this machine accepts packets with forged source addresses from its networks; those of guests are filtered in any "
                    "case. To drop others too: net.ipv4.conf.{all,default}.rp_filter=2 in /etc/sysctl.d")
    return ok("packets with forged source addresses are dropped (rp_filter)")


def _has_password(conf: cfg.ConfigOpts) -> bool:
    return any(password for _, _, password in _logins(conf))


def _logins(conf: cfg.ConfigOpts) -> Iterator[tuple[str, str, str]]:
    """(what, user, password) of what nova.conf logs in to."""
    for broker, _ in _brokers(conf):
        yield "message bus", broker.username or "", broker.password or ""
    database = _database(conf)
    if database is not None and database.host:
        yield "database", database.username or "", str(database.password or "")


def _brokers(conf: cfg.ConfigOpts) -> list[tuple[messaging.TransportHost, int]]:
    """With their ports; empty for a bus within the process."""
    conf.register_opts(messaging.transport._transport_opts)
    try:
        url = messaging.TransportURL.parse(conf)
    except messaging.InvalidTransportURL:
        return []
    return [(host, host.port or _DEFAULT_PORTS["rabbit"]) for host in url.hosts if host.hostname]


def _database(conf: cfg.ConfigOpts) -> sa.URL | None:
    return sa.make_url(conf.database.connection) if conf.database.connection else None


def _on_all_addresses() -> set[int]:
    """TCP ports on which something listens on 0.0.0.0 or [::]."""
    ports = set()
    for name in ("tcp", "tcp6"):
        path = _PROC_NET / name
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == _LISTENS and not address.strip("0"):
                ports.add(int(port, 16))
    return ports


def _addresses() -> list[tuple[str, ipaddress.IPv4Address]]:
    """(device, address) of this machine's IPv4 addresses, those for guests and of the loopback left out."""
    shown = subprocess.run(["ip", "-4", "-j", "address"], capture_output=True, text=True, timeout=5, check=True).stdout
    found = [(str(link["ifname"]), ipaddress.IPv4Address(one["local"])) for link in json.loads(shown) for one in link.get("addr_info", ())]
    return [(device, address) for device, address in found if not _OURS.match(device) and not address.is_loopback]


def _address(text: object) -> list[ipaddress.IPv4Address]:
    """The address; none for a host name, which is not looked up."""
    try:
        return [ipaddress.IPv4Address(str(text))]
    except ValueError:
        return []


def _setting(device: str, name: str) -> int:
    path = _KERNEL / device / name
    return int(path.read_text()) if path.exists() else 0
