# SPDX-License-Identifier: Apache-2.0
"""For each workflow: a server at its start, and what is to be seen at its end and after it was undone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable

from nova_lite.db.network import interfaces, networks, ports, security_groups
from nova_lite.db.network.ports import Port
from nova_lite.lifecycle.servers import ACTIONS, Vm
from tests.support.flows import backup_scenarios, disk_scenarios, resizing, shelving, volume_scenarios
from tests.support.flows.one_process import CTXT, OneProcess


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`prepare` gives (server id, action id). `is_undone` None: the workflow only goes forward.

    Each says whether all is there that should be, and nothing more; `reason` is in what the user sees.
    """

    prepare: Callable[[OneProcess], tuple[str, int]]
    is_reached: Callable[[OneProcess, str], bool]
    is_undone: Callable[[OneProcess, str, str], bool] | None = None


def active(cloud: OneProcess) -> str:
    """A server that runs."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    return server_id


def _delete(cloud: OneProcess) -> tuple[str, int]:
    server_id, action_id = volume_scenarios.with_volume(cloud)
    cloud.run(action_id)
    assert _is_built(cloud, server_id)
    return server_id, cloud.begin_delete(server_id)


def _is_built(cloud: OneProcess, server_id: str) -> bool:
    server, held = cloud.server(server_id), cloud.leftovers(server_id)
    return ((server.vm_state, server.task_state) == ("active", None) and len(held["claims"]) == 1 and len(held["held"]) == 2
            and volume_scenarios.has_its_volumes(cloud, server_id))


def _is_in_error(cloud: OneProcess, server_id: str, reason: str) -> bool:
    server = cloud.server(server_id)
    return ((server.vm_state, server.task_state) == ("error", None) and cloud.leftovers(server_id) == {}
            and server.fault is not None and reason in server.fault["message"] and volume_scenarios.keeps_its_volumes(cloud, server_id))


def _is_deleted(cloud: OneProcess, server_id: str) -> bool:
    server = cloud.server(server_id)
    return (server.deleted_at is not None and server.vm_state == "deleted" and cloud.leftovers(server_id) == {}
            and volume_scenarios.are_free(cloud))


def _attach(cloud: OneProcess) -> tuple[str, int]:
    """As the Compute API writes it: a port made for the server, and the action."""
    server_id = active(cloud)
    port_id = _second_port(cloud, server_id)
    return server_id, cloud.begin_action(server_id, "attach_interface", inputs={"port_id": port_id})


def _second_port(cloud: OneProcess, server_id: str) -> str:
    with cloud.database.writer() as session:
        network = networks.usable(session, CTXT.project_id, among=[cloud.network_id])[0]
        port_id = ports.make_for_server(
            session, server_id=server_id, project_id=CTXT.project_id, network=network, fixed_ip=None,
            group_ids=[security_groups.default(session, CTXT.project_id).id], rng=random.Random(),
            position=interfaces.next_position(session, server_id))
        interfaces.place(session, ports.get(session, port_id), host=cloud.server(server_id).host, tag=None)
        return port_id


def _detach(cloud: OneProcess) -> tuple[str, int]:
    server_id, action_id = _attach(cloud)
    cloud.run(action_id)
    assert _has_nics(cloud, server_id, 2)
    port_id = cloud.ports(server_id)[1].id
    return server_id, cloud.begin_action(server_id, "detach_interface", inputs={"port_id": port_id})


def _has_nics(cloud: OneProcess, server_id: str, count: int) -> bool:
    """Rows, guest, its record and the host's network agree on the server's NICs; it runs, and nothing is under way."""
    rows: list[Port] = cloud.ports(server_id)
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    held = cloud.network_records.servers[server_id]
    seen = [
        {row.id for row in rows}, {nic.port_id for nic in record.guest.nics},
        {nic.port_id for nic in cloud.driver.guests.find(server_id).nics}, {port.id for port in held.ports}]
    documents = held.documents["openstack/latest/network_data.json"]
    server = cloud.server(server_id)
    return (all(ids == seen[0] for ids in seen) and len(seen[0]) == count and all(row.id in documents for row in rows)
            and documents.count('"vif_id"') == count and {row.status for row in rows} == {"ACTIVE"}
            and (server.vm_state, server.task_state, server.fault) == ("active", None, None))


def _power(name: str, before: Vm = Vm.ACTIVE) -> Scenario:
    """An action that one host does alone: the server is as it leads to, or as before."""
    first = {Vm.STOPPED: "stop", Vm.PAUSED: "pause", Vm.SUSPENDED: "suspend", Vm.SOFT_DELETED: "soft_delete"}
    after = ACTIONS[name].leads_to or before

    def prepare(cloud: OneProcess) -> tuple[str, int]:
        server_id = active(cloud)
        if before in first:
            cloud.run(cloud.begin_action(server_id, first[before]))
        assert cloud.server(server_id).vm_state == before
        return server_id, cloud.begin_action(server_id, name)

    def is_at_rest_in(state: Vm) -> Callable[[OneProcess, str], bool]:
        return lambda cloud, server_id: (cloud.server(server_id).vm_state, cloud.server(server_id).task_state) == (state, None)

    return Scenario(prepare, is_at_rest_in(after), lambda cloud, server_id, _reason: is_at_rest_in(before)(cloud, server_id))


SCENARIOS: dict[str, Scenario] = {
    "start": _power("start", Vm.STOPPED),
    "stop": _power("stop"),
    "reboot_soft": _power("reboot_soft"),
    "reboot_hard": _power("reboot_hard"),
    "pause": _power("pause"),
    "unpause": _power("unpause", Vm.PAUSED),
    "suspend": _power("suspend"),
    "resume": _power("resume", Vm.SUSPENDED),
    "soft_delete": _power("soft_delete"),
    "restore": _power("restore", Vm.SOFT_DELETED),
    "trigger_crash_dump": _power("trigger_crash_dump"),
    "create": Scenario(volume_scenarios.with_volume, _is_built, _is_in_error),
    "delete": Scenario(_delete, _is_deleted),
    "resize": Scenario(resizing.resize, resizing.is_resized, resizing.is_as_before),
    "confirm_resize": Scenario(resizing.confirm, resizing.is_confirmed),
    "revert_resize": Scenario(resizing.revert, resizing.is_reverted),
    "rebuild": Scenario(disk_scenarios.rebuild, disk_scenarios.is_rebuilt, disk_scenarios.is_in_error_on_its_host),
    "rescue": Scenario(disk_scenarios.rescue, disk_scenarios.is_rescued, disk_scenarios.runs_from_its_own),
    "unrescue": Scenario(disk_scenarios.unrescue, disk_scenarios.runs_from_its_own,
                         lambda cloud, server_id, _reason: cloud.server(server_id).vm_state == "rescued"),
    "create_image": Scenario(disk_scenarios.create_image, disk_scenarios.has_image, disk_scenarios.has_no_image),
    "create_backup": Scenario(
        disk_scenarios.create_backup, disk_scenarios.has_new_backup, disk_scenarios.has_old_backup),
    "attach_interface": Scenario(
        _attach, lambda cloud, server_id: _has_nics(cloud, server_id, 2),
        lambda cloud, server_id, _reason: _has_nics(cloud, server_id, 1)),
    "detach_interface": Scenario(
        _detach, lambda cloud, server_id: _has_nics(cloud, server_id, 1),
        lambda cloud, server_id, _reason: _has_nics(cloud, server_id, 2)),
    "shelve": Scenario(shelving.prepare_shelve, shelving.is_offloaded, shelving.is_back_without_reason),
    "shelve_offload": Scenario(shelving.prepare_offload, shelving.is_offloaded),
    "create_volume": Scenario(volume_scenarios.create, volume_scenarios.is_made, volume_scenarios.is_in_error),
    "delete_volume": Scenario(volume_scenarios.delete, volume_scenarios.is_gone, volume_scenarios.is_error_deleting),
    "extend_volume": Scenario(volume_scenarios.extend, volume_scenarios.is_extended, volume_scenarios.is_not_extended),
    "create_volume_backup": Scenario(backup_scenarios.create, backup_scenarios.is_made, backup_scenarios.is_not_made),
    "delete_volume_backup": Scenario(backup_scenarios.delete, backup_scenarios.is_gone, backup_scenarios.is_error_deleting),
    "restore_volume_backup": Scenario(backup_scenarios.restore, backup_scenarios.is_restored, backup_scenarios.is_not_restored),
    "revert_volume": Scenario(volume_scenarios.revert, volume_scenarios.is_reverted, volume_scenarios.is_not_reverted),
    "upload_volume": Scenario(volume_scenarios.upload, volume_scenarios.is_uploaded, volume_scenarios.is_not_uploaded),
    "retype_volume": Scenario(volume_scenarios.retype, volume_scenarios.is_retyped, volume_scenarios.is_not_moved),
    "migrate_volume": Scenario(volume_scenarios.migrate, volume_scenarios.is_moved, volume_scenarios.is_not_moved),
    "create_snapshot": Scenario(
        volume_scenarios.create_snapshot, volume_scenarios.has_snapshot, volume_scenarios.has_no_snapshot),
    "delete_snapshot": Scenario(
        volume_scenarios.delete_snapshot, volume_scenarios.snapshot_is_gone, volume_scenarios.snapshot_is_error_deleting),
    "attach_volume": Scenario(
        volume_scenarios.attach, volume_scenarios.is_attached, lambda cloud, server_id, _reason: volume_scenarios.is_free(cloud, server_id)),
    "detach_volume": Scenario(
        volume_scenarios.detach, volume_scenarios.is_free, lambda cloud, server_id, _reason: volume_scenarios.is_attached(cloud, server_id)),
    "export_attachment": Scenario(
        volume_scenarios.export, volume_scenarios.is_exported, lambda cloud, one, _reason: volume_scenarios.is_reserved(cloud, one)),
    "unexport_attachment": Scenario(volume_scenarios.unexport, volume_scenarios.is_reserved),
    "delete_attachment": Scenario(volume_scenarios.end, volume_scenarios.is_ended),
    "unshelve": Scenario(shelving.prepare_unshelve, shelving.is_back, shelving.is_still_offloaded),
}
