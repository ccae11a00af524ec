# SPDX-License-Identifier: Apache-2.0
"""Forwarding entries of networks that other hosts have too: each frame for a known port goes to that port's host only."""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_log import log as logging

from nova_lite.network import names
from nova_lite.network.forwarding_sync import ForwardingSync
from nova_lite.network.linux.bridges import is_here
from nova_lite.network.linux.namespaces import run
from nova_lite.network.records import Records
from nova_lite.rpc.network import ForwardingChange, Network
from nova_lite.worker.commands import CommandFailed

# With the first the bridge sends frames for unknown MACs to other hosts, and learns from theirs which MACs are there.
_LEARNING, _KNOWING = "learning on flood on", "learning off flood off"
_EVERYONE = "00:00:00:00:00:00"  # entries of this address say where frames for all go: see bridges.py
_Entries = tuple[str, dict[str, str]]  # how unknown MACs are treated, and tunnel by MAC
_Entry = dict[str, Any]  # as iproute2 has it in JSON

LOG = logging.getLogger(__name__)


class Forwarding:
    """Entries of networks' VXLAN devices and bridges, changed by their differences from what was last set.

    Entries of the bridge are sticky: a guest's frame with the MAC of a port on another host does not move them. The caller
    holds the network's lock for `ensure`, `renew` and `forget`, and none for the others, which return the networks to `ensure`.
    """

    def __init__(self, sync: ForwardingSync, records: Records, *, tunnel_ip: str) -> None:
        self._sync = sync
        self._records = records
        self._tunnel_ip = tunnel_ip
        self._set: dict[str, _Entries] = {}  # by network
        self._doubted = set[str]()  # networks whose entries the kernel has otherwise

    def change(self, changes: Iterable[ForwardingChange]) -> set[str]:
        """Take changes that were sent of networks that are here."""
        return self._sync.change(change for change in changes if self._has(change.network_id))

    def catch_up(self, revisions: Mapping[str, int]) -> set[str]:
        """Fetch the networks that are here at another revision."""
        return self._sync.fetch(self._sync.behind({one: revision for one, revision in revisions.items() if self._has(one)}))

    def fetch_missing(self, networks: Iterable[Network]) -> set[str]:
        """Fetch those of the networks that other hosts have too and of which nothing is known."""
        return self._sync.fetch([network.id for network in networks if network.peers and self._has(network.id)
                                 and self._sync.places(network.id) is None])

    def ensure(self, network_id: str) -> None:
        """Have exactly the entries of ports on other hosts; quick when nothing changed.

        Frames for unknown MACs are flooded while not all are known: after a start, and while a port elsewhere is not secured,
        whose guest may have others. Entries that were not known to change do not stay over a start.
        """
        if not self._tunnel_ip:
            return
        places = self._sync.places(network_id)
        own = {port.mac for server in self._records.servers_on(network_id) for port in server.ports}
        remote = {mac: place for mac, place in (places or {}).items() if place.tunnel_ip != self._tunnel_ip and mac not in own}
        is_whole = places is not None and all(place.is_secured for place in remote.values())
        mode = _KNOWING if is_whole else _LEARNING
        required = {mac: place.tunnel_ip for mac, place in remote.items()}
        known = self._set.pop(network_id, None)  # until the kernel has taken it
        if network_id in self._doubted:
            known = None
        if known != (mode, required):
            try:
                _change(network_id, known or _present(network_id), (mode, required))
            except CommandFailed as refused:
                if known is None:
                    raise
                LOG.warning("network %s: somebody else changed its forwarding entries: %s", network_id, refused)
                _change(network_id, _present(network_id), (mode, required))
        self._set[network_id] = mode, required
        self._doubted.discard(network_id)

    def revisions(self, network_ids: Iterable[str]) -> dict[str, int]:
        """At which it is known where the networks' ports are; of those left out it is not."""
        known = ((network_id, self._sync.revision(network_id)) for network_id in network_ids if self._tunnel_ip)
        return {network_id: revision for network_id, revision in known if revision is not None}

    def differing(self) -> list[str]:
        """The networks that seem to have other entries than were set: one command for all, while they may be about to change."""
        known = dict(self._set)
        present = collections.defaultdict[str, list[_Entry]](list)
        for entry in json.loads(run(["bridge", "-j", "fdb", "show"]) or "[]") if known else ():
            present[entry["ifname"]].append(entry)
        return sorted(network_id for network_id, (_, required) in known.items()
                      if not _is_exactly(present[names.overlay_name(network_id)], required))

    def is_altered(self, network_id: str) -> bool:
        """Whether somebody else has changed the network's entries; then `ensure` makes them right. The caller holds its lock."""
        known = self._set.get(network_id)
        if known is None or not is_here(names.overlay_name(network_id)) or _is_exactly(_shown(network_id), known[1]):
            return False
        self._doubted.add(network_id)
        return True

    def renew(self, network_id: str) -> None:
        """The network's devices were made anew, or looked at by somebody else."""
        self._set.pop(network_id, None)
        self._doubted.discard(network_id)

    def forget(self, network_id: str) -> None:
        """The network leaves this host."""
        self.renew(network_id)
        self._sync.forget(network_id)

    def _has(self, network_id: str) -> bool:
        return bool(self._tunnel_ip) and network_id in self._records.networks


def _change(network_id: str, before: _Entries, after: _Entries) -> None:
    """:raises CommandFailed: the kernel has not what `before` says."""
    device = names.overlay_name(network_id)
    (old_mode, old), (mode, new) = before, after
    lines = [f"fdb del {mac} dev {device} master" for mac in sorted(old.keys() - new.keys())]
    lines += [f"fdb del {mac} dev {device} dst {old[mac]} self" for mac in sorted(old.keys() - new.keys())]
    lines += [f"fdb replace {mac} dev {device} dst {tunnel} self permanent" for mac, tunnel in new.items() if old.get(mac) != tunnel]
    lines += [f"fdb replace {mac} dev {device} master static sticky" for mac in sorted(new.keys() - old.keys())]
    if mode != old_mode:
        lines.append(f"link set dev {device} {mode}")
    run(["bridge", "-batch", "-"], stdin="\n".join(lines) + "\n")
    if mode == _KNOWING != old_mode:  # what was learned before may be wrong, and no frame corrects it now
        run(["ip", "link", "set", "dev", device, "type", "bridge_slave", "fdb_flush"])


def _present(network_id: str) -> _Entries:
    """What an earlier process has left, once half of an entry is made whole or removed; its mode is not known."""
    device = names.overlay_name(network_id)
    tunnels, on_bridge = _halves(_shown(network_id))
    halves = [f"fdb del {mac} dev {device} master" for mac in sorted(on_bridge - tunnels.keys())]
    halves += [f"fdb replace {mac} dev {device} master static sticky" for mac in sorted(tunnels.keys() - on_bridge)]
    if halves:
        run(["bridge", "-batch", "-"], stdin="\n".join(halves) + "\n")
    return "", tunnels


def _shown(network_id: str) -> list[_Entry]:
    shown: list[_Entry] = json.loads(run(["bridge", "-j", "fdb", "show", "dev", names.overlay_name(network_id)]) or "[]")
    return shown


def _halves(entries: Iterable[_Entry]) -> tuple[dict[str, str], set[str]]:
    """Of a VXLAN device: tunnel by MAC, and the MACs that its bridge sends there."""
    listed = list(entries)
    return ({entry["mac"]: entry["dst"] for entry in listed if "dst" in entry and entry["mac"] != _EVERYONE},
            {entry["mac"] for entry in listed if "sticky" in entry.get("flags", ())})


def _is_exactly(entries: Iterable[_Entry], required: Mapping[str, str]) -> bool:
    tunnels, on_bridge = _halves(entries)
    return tunnels == required and on_bridge == set(required)
