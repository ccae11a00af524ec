# SPDX-License-Identifier: Apache-2.0
"""What a guest's diagnostics are on the message bus: numbers that the hypervisor counts, not yet in a form for users."""

from __future__ import annotations

from nova_lite.rpc.payload import payload


@payload(version=1)
class DiskUse:
    """One disk, since the guest started. `errors_count` None: the hypervisor does not count them."""

    name: str
    read_bytes: int
    read_requests: int
    write_bytes: int
    write_requests: int
    errors_count: int | None = None


@payload(version=1)
class NicUse:
    """One NIC, since it was plugged, as the guest sees it: `rx` is what it received."""

    name: str
    mac: str
    rx_octets: int
    rx_packets: int
    rx_errors: int
    rx_drop: int
    tx_octets: int
    tx_packets: int
    tx_errors: int
    tx_drop: int


@payload(version=1)
class GuestDiagnostics:
    """A running guest. `cpu_times_ns`: by virtual CPU; `memory` in KiB, by the hypervisor's own names.

    `memory_used_mb` None: the guest's balloon driver does not report it.
    """

    driver: str
    hypervisor: str
    config_drive: bool
    cpu_times_ns: tuple[int, ...]
    memory_maximum_mb: int
    memory_used_mb: int | None
    memory: dict[str, int]
    disks: tuple[DiskUse, ...]
    nics: tuple[NicUse, ...]
