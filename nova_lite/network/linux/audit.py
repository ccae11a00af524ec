# SPDX-License-Identifier: Apache-2.0
"""Compares this worker's records with the namespaces, devices and forwarding entries on its host."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

from nova_lite.network import names
from nova_lite.network.linux import namespaces
from nova_lite.network.linux.bridges import Bridges, devices
from nova_lite.network.linux.forwarding import Forwarding
from nova_lite.network.records import Records
from nova_lite.rpc.audit import AuditFinding

NETWORK_NOT_MADE, DEVICE_WITHOUT_RECORD, FORWARDING_ENTRIES = "network_not_made", "device_without_record", "forwarding_entries"
_DEVICE = re.compile(r"(br|gw|up|vx)-([0-9a-f]{8}-[0-9a-f]{2})")
_NAMESPACE = re.compile(r"nova-([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def compare(records: Records, bridges: Bridges, *, host: str) -> Iterator[AuditFinding]:
    """Networks that are not whole, and devices and namespaces named as ours that no record has.

    Another cloud's worker on the machine names its own in the same way, so those are only reported.
    """
    held = {record.network.id: record for record in list(records.networks.values())}
    for network_id, record in sorted(held.items()):
        missing = bridges.missing(network_id)
        if not namespaces.exists(names.namespace_name(network_id)):
            missing.append(names.namespace_name(network_id))
        if missing and not record.is_leaving and network_id in records.networks:
            yield _found(NETWORK_NOT_MADE, network_id, host, f"the host lacks {', '.join(missing)}")
    known = {names.bridge_name(network_id).partition("-")[2] for network_id in records.networks}
    for name in devices():
        match = _DEVICE.fullmatch(name)
        if match and match.group(2) not in known:
            yield _found(DEVICE_WITHOUT_RECORD, name, host, "a device named as a network's, which this worker has no record of")
    for name in namespaces.names():
        match = _NAMESPACE.fullmatch(name)
        if match and match.group(1) not in records.networks:
            yield _found(DEVICE_WITHOUT_RECORD, name, host, "a namespace named as a network's, which this worker has no record of")


def compare_forwarding(forwarding: Forwarding, hold: Callable[[str], AbstractContextManager[object]], *, host: str) -> Iterator[AuditFinding]:
    """Networks whose forwarding entries somebody else changed. `hold` takes a network's lock: then they are not about to change."""
    for network_id in forwarding.differing():
        with hold(network_id):
            is_altered = forwarding.is_altered(network_id)
        if is_altered:
            yield _found(FORWARDING_ENTRIES, network_id, host, "its forwarding entries are not those that nova-network has set")


def _found(kind: str, resource: str, host: str, problem: str) -> AuditFinding:
    return AuditFinding(kind=kind, resource=resource, host=host, problem=problem)
