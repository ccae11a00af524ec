# SPDX-License-Identifier: Apache-2.0
"""Diagnostics of a running guest: libvirt's counters before 2.48, a common form since."""

from __future__ import annotations

import datetime

from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import BOOLEAN, INTEGER, INTEGER_OR_NULL, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute.servers import Server
from nova_lite.rpc.diagnostics import DiskUse, GuestDiagnostics, NicUse

_RULE = Rule("os_compute_api:os-server-diagnostics", ADMIN)
_PATH = "/servers/{server_id}/diagnostics"


_STANDARD = closed(
    **each("state driver hypervisor hypervisor_os", STRING), uptime=INTEGER_OR_NULL, config_drive=BOOLEAN,
    **each("num_cpus num_nics num_disks", INTEGER),
    cpu_details=many(closed(id=INTEGER, time=INTEGER, utilisation=INTEGER_OR_NULL)),
    nic_details=many(closed(mac_address=STRING, **each("rx_rate tx_rate", INTEGER_OR_NULL), **each(
        "rx_octets rx_errors rx_drop rx_packets tx_octets tx_errors tx_drop tx_packets", INTEGER))),
    disk_details=many(closed(errors_count=INTEGER_OR_NULL, **each(
        "read_bytes read_requests write_bytes write_requests", INTEGER))),
    memory_details=closed(maximum=INTEGER, used=INTEGER))


@route("GET", _PATH, policy=_RULE, until="2.47", response={"type": "object", "additionalProperties": INTEGER},
       waits=True)
def plain(req: Request, server_id: str) -> Deferred[Body]:
    """Show counters under the names of Nova's libvirt driver.

    200 with them. 404: no such server, or it was deleted meanwhile. 409: it is on no host, leaves it, or does not run.
    503: the host's nova-compute does not answer, or too many requests wait for workers.
    """
    server = begin_action.find(req, server_id)
    return Deferred(lambda: _plain(_usage(req, server)))


def _plain(usage: GuestDiagnostics) -> Body:
    body: Body = {f"cpu{number}_time": time_ns for number, time_ns in enumerate(usage.cpu_times_ns)}
    for disk in usage.disks:
        body |= {
            f"{disk.name}_read": disk.read_bytes, f"{disk.name}_read_req": disk.read_requests,
            f"{disk.name}_write": disk.write_bytes, f"{disk.name}_write_req": disk.write_requests,
            f"{disk.name}_errors": -1 if disk.errors_count is None else disk.errors_count}
    for nic in usage.nics:
        for way, counts in (("rx", (nic.rx_octets, nic.rx_drop, nic.rx_errors, nic.rx_packets)),
                            ("tx", (nic.tx_octets, nic.tx_drop, nic.tx_errors, nic.tx_packets))):
            names = (f"{nic.name}_{way}{end}" for end in ("", "_drop", "_errors", "_packets"))
            body |= dict(zip(names, counts, strict=True))
    body["memory"] = usage.memory_maximum_mb << 10
    return body | {f"memory-{name}": value for name, value in usage.memory.items()}


@route("GET", _PATH, policy=_RULE, since="2.48", response=_STANDARD, waits=True)
def standard(req: Request, server_id: str) -> Deferred[Body]:
    """Show the form that all hypervisors share.

    200, 404, 409 and 503 as for `plain`.
    """
    server = begin_action.find(req, server_id)
    return Deferred(lambda: _standard(_usage(req, server), uptime_s=_age_s(server.launched_at)))


def _standard(usage: GuestDiagnostics, *, uptime_s: int | None) -> Body:
    return {
        "state": "running", "driver": usage.driver, "hypervisor": usage.hypervisor, "hypervisor_os": "linux",
        "uptime": uptime_s, "config_drive": usage.config_drive,
        "num_cpus": len(usage.cpu_times_ns), "num_nics": len(usage.nics), "num_disks": len(usage.disks),
        "cpu_details": [{"id": number, "time": time_ns, "utilisation": None}
                        for number, time_ns in enumerate(usage.cpu_times_ns)],
        "memory_details": {"maximum": usage.memory_maximum_mb, "used": usage.memory_used_mb},
        "nic_details": [_nic(nic) for nic in usage.nics], "disk_details": [_disk(disk) for disk in usage.disks]}


def _nic(nic: NicUse) -> Body:
    return {
        "mac_address": nic.mac, "rx_octets": nic.rx_octets, "rx_errors": nic.rx_errors, "rx_drop": nic.rx_drop,
        "rx_packets": nic.rx_packets, "rx_rate": None, "tx_octets": nic.tx_octets, "tx_errors": nic.tx_errors,
        "tx_drop": nic.tx_drop, "tx_packets": nic.tx_packets, "tx_rate": None}


def _disk(disk: DiskUse) -> Body:
    return {
        "read_bytes": disk.read_bytes, "read_requests": disk.read_requests, "write_bytes": disk.write_bytes,
        "write_requests": disk.write_requests, "errors_count": disk.errors_count}


def _usage(req: Request, server: Server) -> GuestDiagnostics:
    """The host's counters of the guest."""
    return call_host(req, server, lambda worker: worker.diagnostics(req.ctxt, server_id=server.id))


def _age_s(launched_at: datetime.datetime | None) -> int | None:
    return None if launched_at is None else max(0, int((utcnow() - launched_at).total_seconds()))
