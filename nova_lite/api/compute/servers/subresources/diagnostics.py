# SPDX-License-Identifier: Apache-2.0
"""What a running guest uses: one form per hypervisor at first, a common one from 2.48 on."""

from __future__ import annotations

import datetime

from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.rpc.diagnostics import DiskUse, GuestDiagnostics, NicUse

_RULE = Rule("os_compute_api:os-server-diagnostics", ADMIN)
_PATH = "/servers/{server_id}/diagnostics"


@route("GET", _PATH, policy=_RULE, until="2.47")
def plain(req: Request, server_id: str) -> Body:
    """Counters by the names that Nova's libvirt driver gives them."""
    seen, _ = _read(req, server_id)
    found: Body = {f"cpu{number}_time": time_ns for number, time_ns in enumerate(seen.cpu_times_ns)}
    for disk in seen.disks:
        found |= {
            f"{disk.name}_read": disk.read_bytes, f"{disk.name}_read_req": disk.read_requests,
            f"{disk.name}_write": disk.write_bytes, f"{disk.name}_write_req": disk.write_requests,
            f"{disk.name}_errors": -1 if disk.errors_count is None else disk.errors_count}
    for nic in seen.nics:
        for way, counts in (("rx", (nic.rx_octets, nic.rx_drop, nic.rx_errors, nic.rx_packets)),
                            ("tx", (nic.tx_octets, nic.tx_drop, nic.tx_errors, nic.tx_packets))):
            names = (f"{nic.name}_{way}{end}" for end in ("", "_drop", "_errors", "_packets"))
            found |= dict(zip(names, counts, strict=True))
    found["memory"] = seen.memory_maximum_mb << 10
    return found | {f"memory-{name}": value for name, value in seen.memory.items()}


@route("GET", _PATH, policy=_RULE, since="2.48")
def standard(req: Request, server_id: str) -> Body:
    """The form that all hypervisors share."""
    seen, uptime_s = _read(req, server_id)
    return {
        "state": "running", "driver": seen.driver, "hypervisor": seen.hypervisor, "hypervisor_os": "linux",
        "uptime": uptime_s, "config_drive": seen.config_drive,
        "num_cpus": len(seen.cpu_times_ns), "num_nics": len(seen.nics), "num_disks": len(seen.disks),
        "cpu_details": [{"id": number, "time": time_ns, "utilisation": None}
                        for number, time_ns in enumerate(seen.cpu_times_ns)],
        "memory_details": {"maximum": seen.memory_maximum_mb, "used": seen.memory_used_mb},
        "nic_details": [_nic(nic) for nic in seen.nics], "disk_details": [_disk(disk) for disk in seen.disks]}


def _nic(nic: NicUse) -> Body:
    return {
        "mac_address": nic.mac, "rx_octets": nic.rx_octets, "rx_errors": nic.rx_errors, "rx_drop": nic.rx_drop,
        "rx_packets": nic.rx_packets, "rx_rate": None, "tx_octets": nic.tx_octets, "tx_errors": nic.tx_errors,
        "tx_drop": nic.tx_drop, "tx_packets": nic.tx_packets, "tx_rate": None}


def _disk(disk: DiskUse) -> Body:
    return {
        "read_bytes": disk.read_bytes, "read_requests": disk.read_requests, "write_bytes": disk.write_bytes,
        "write_requests": disk.write_requests, "errors_count": disk.errors_count}


def _read(req: Request, server_id: str) -> tuple[GuestDiagnostics, int | None]:
    """What the server's host counts, and for how many seconds the server has been up.

    :raises errors.Conflict: it is on no host, or does not run.
    """
    server = begin_action.find(req, server_id)
    found = call_host(req, server, lambda worker: worker.diagnostics(req.ctxt, server_id=server_id))
    return found, _age_s(server.launched_at)


def _age_s(launched_at: datetime.datetime | None) -> int | None:
    return None if launched_at is None else max(0, int((utcnow() - launched_at).total_seconds()))
