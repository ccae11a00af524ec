# SPDX-License-Identifier: Apache-2.0
"""RPC endpoint that compares this worker's records with the guests and files on its host."""

from __future__ import annotations

from collections.abc import Iterator

from nova_lite.compute.host import Host
from nova_lite.compute.records import Phase, Record
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.audit import PAGE, AuditFinding, AuditReport, Findings
from nova_lite.rpc.compute import GuestAudit
from nova_lite.values import guest_disk
from nova_lite.worker.pages import page

GUEST_WITHOUT_RECORD, GUEST_NOT_DEFINED, DISKS_WITHOUT_RECORD = "guest_without_record", "guest_not_defined", "disks_without_record"
VOLUME_WITHOUT_RECORD, VOLUME_NOT_ATTACHED = "volume_without_record", "volume_not_attached"


class Audit:
    """Endpoint: what is on the host. Servers that an operation holds are left out: they are about to change."""

    def __init__(self, host: Host) -> None:
        self._host = host

    def audit_host(self, ctxt: Context, *, after: str) -> GuestAudit:
        self._host.driver.host.check("compare guests with records")
        powers = self._host.driver.guests.list_ours()
        here, following = page([*powers, *(record.server_id for record in self._host.records.all())], after=after, size=PAGE)
        return GuestAudit(
            server_ids=tuple(sorted(here)), powers={server_id: int(power) for server_id, power in powers.items() if server_id in here},
            found=AuditReport() if after else Findings(self._compare(powers)).report(), next=following,
            attachments={record.server_id: tuple(sorted(attached)) for record in self._host.records.all()
                         if record.server_id in here and (attached := guest_disk.volumes(record.guest.disks))})

    def _compare(self, powers: dict[str, Power]) -> Iterator[AuditFinding]:
        directories = self._host.driver.disks.owners()
        records = {record.server_id: record for record in self._host.records.all()}
        for server_id in sorted(powers.keys() - records.keys()):
            yield from self._found(GUEST_WITHOUT_RECORD, server_id, "the hypervisor has the guest, and this worker has no record of it")
        for server_id in sorted(directories - records.keys() - powers.keys()):
            yield from self._found(DISKS_WITHOUT_RECORD, server_id, "there are files of the guest, and this worker has no record of it")
        for server_id, record in sorted(records.items()):
            if record.phase is Phase.BUILT and server_id not in powers:
                yield from self._found(GUEST_NOT_DEFINED, server_id, "this worker has a record of the guest, and the hypervisor does not have it")

        yield from self._compare_volumes(records)

    def _compare_volumes(self, records: dict[str, Record]) -> Iterator[AuditFinding]:
        """Of guests that both have: the volumes that only one of them knows."""
        for server_id, volume_ids in sorted(self._host.driver.volumes.attached().items()):
            record = records.get(server_id)
            if record is None or record.phase is not Phase.BUILT:
                continue
            known = {disk.volume.volume_id for disk in record.guest.disks if disk.volume}
            for volume_id in sorted(volume_ids - known):
                yield from self._found(VOLUME_WITHOUT_RECORD, server_id, f"the guest has volume {volume_id}, and this worker has no record of that")
            for volume_id in sorted(known - volume_ids):
                yield from self._found(VOLUME_NOT_ATTACHED, server_id, f"this worker has a record of volume {volume_id}, and the guest does not have it")

    def _found(self, kind: str, server_id: str, problem: str) -> Iterator[AuditFinding]:
        if not self._host.locks.is_held(server_id):
            yield AuditFinding(kind=kind, resource=server_id, host=self._host.name, problem=problem)
