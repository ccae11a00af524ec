# SPDX-License-Identifier: Apache-2.0
"""What a cluster must know of itself from one command to the next: its database, its wire, its hosts."""

from __future__ import annotations

import dataclasses
import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path

from tools.lib.services import ServiceError
from tools.lib.services.service import output_of, random_password, write_private

CONTROL = "control"  # directory of all that hosts must not see
_RANGE = ipaddress.IPv4Network("10.197.0.0/16")  # private (RFC 1918); each cluster takes a /24 of it
MOST_HOSTS = 250


@dataclasses.dataclass(frozen=True)
class HostSettings:
    """One compute host: its address on the switch, and its password at the broker, where its user is its name."""

    address: str
    password: str


@dataclasses.dataclass(frozen=True)
class Settings:
    """`database`: postgres or mariadb. `network`: of the switch, whose last address is the machine's."""

    database: str
    network: str
    hosts: Mapping[str, HostSettings]

    @property
    def address(self) -> str:
        """The machine's end of the switch, with prefix length."""
        network = ipaddress.IPv4Network(self.network)
        return f"{network[-2]}/{network.prefixlen}"

    def with_hosts(self, count: int) -> Settings:
        """The same with hosts h1 to h<count>; those that are there stay as they are.

        :raises ServiceError: fewer than there are, or more than the network has room for.
        """
        if count < len(self.hosts):
            raise ServiceError(f"this cluster has {len(self.hosts)} hosts and cannot lose any; run tools/cluster down first")
        if count > MOST_HOSTS:
            raise ServiceError(f"{count} hosts: {MOST_HOSTS} are the most")
        network = ipaddress.IPv4Network(self.network)
        new = {f"h{n}": HostSettings(str(network[n]), random_password()) for n in range(len(self.hosts) + 1, count + 1)}
        return dataclasses.replace(self, hosts={**self.hosts, **new})

    def write(self, state: Path) -> None:
        """Keep it, readable by its owner only."""
        place = _place(state)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = place.with_suffix(".new")
        write_private(new, json.dumps(dataclasses.asdict(self), indent=1))
        os.rename(new, place)


def read(state: Path) -> Settings | None:
    """What the directory says; None: there is no cluster in it."""
    try:
        kept = json.loads(_place(state).read_text())
    except FileNotFoundError:
        return None
    hosts = {name: HostSettings(**host) for name, host in kept["hosts"].items()}
    return Settings(database=kept["database"], network=kept["network"], hosts=hosts)


def new(database: str) -> Settings:
    """A cluster without hosts, on a network that nothing on this machine has a part of."""
    return Settings(database=database, network=_free_network(), hosts={})


def switch_name(state: Path) -> str:
    """The name of the bridge, which is the same whenever the directory is."""
    return "nlc" + hashlib.sha256(os.fsencode(state)).hexdigest()[:5]


def _place(state: Path) -> Path:
    return state / CONTROL / "cluster.json"


def _free_network() -> str:
    shown = json.loads(output_of(["ip", "-json", "-4", "addr"], timeout_s=20))
    taken = [
        ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}").network
        for device in shown for entry in device.get("addr_info", ()) if "local" in entry
    ]
    # by pid, so that two clusters that start at once look at different ones first
    candidates = list(_RANGE.subnets(new_prefix=24))
    first = os.getpid() % len(candidates)
    for candidate in (*candidates[first:], *candidates[:first]):
        if not any(candidate.overlaps(used) for used in taken):
            return str(candidate)
    raise ServiceError(f"every part of {_RANGE} is in use on this machine")
