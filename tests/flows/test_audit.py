# SPDX-License-Identifier: Apache-2.0
"""The audit finds each kind of disagreement that is made, the reconcilers repair what they can, and a healthy cloud has none."""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.image import audit as image_audit
from nova_lite.compute import audit as compute_audit
from nova_lite.conductor import reconcilers
from nova_lite.conductor.audit import kinds, look, rows
from nova_lite.conductor.audit.endpoint import Audits
from nova_lite.conductor.audit.kinds import KINDS
from nova_lite.conductor.audit.look import Look
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.conductor.workflows import WORKFLOWS
from nova_lite.db.base import new_id, utcnow
from nova_lite.db.compute import actions
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts.hosts import Claim, Host, Service
from nova_lite.db.network import networks
from nova_lite.db.network.floating_ips import OWNER, FloatingIp
from nova_lite.db.network.ip_allocations import Address
from nova_lite.db.network.network_changes import NetworkChange
from nova_lite.db.network.ports import SERVER_OWNER, Port
from nova_lite.db.network.revisions import Revision, of_forwarding
from nova_lite.lifecycle.servers import Power
from nova_lite.network import records as network_records
from nova_lite.network.linux import audit as network_audit
from nova_lite.rpc.audit import MOST_LISTED, AuditFinding, AuditReport
from nova_lite.rpc.network import FloatingIpAssociation, NetworkAudit
from nova_lite.values.guest_disk import DiskSource, GuestDisk, VolumeConnection
from tests.support.flows.one_process import CTXT, OneProcess
from tests.support.flows.scenarios import SCENARIOS, active
from tests.support.paths import ROOT

HOUR_AGO = datetime.timedelta(hours=1)


def audits(cloud: OneProcess) -> Audits:
    stalled = StalledActions(cloud.services, cloud.engine)
    return Audits(cloud.services, deadline_s=cloud.engine.deadline_s, look=stalled.look, wait=lambda seconds: None)


def found(cloud: OneProcess) -> set[tuple[str, str]]:
    """(kind, resource) of each finding, when a minute has passed."""
    return {(one.kind, one.resource) for one in findings(cloud)}


def findings(cloud: OneProcess) -> tuple[AuditFinding, ...]:
    cloud.report_services()
    return audits(cloud).audit(CTXT, settled_s=60).findings


def repair(cloud: OneProcess) -> None:
    audits(cloud).repair(CTXT)
    cloud.bus.deliver()


@pytest.fixture
def server_id(cloud: OneProcess) -> str:
    """A server that runs since an hour."""
    made = active(cloud)
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO))
    return made


def change(cloud: OneProcess, *statements: Any) -> None:  # SQLAlchemy's statements
    with cloud.database.writer() as session:
        for statement in statements:
            session.execute(statement)


def write(cloud: OneProcess, work: Callable[[Session], None]) -> None:
    with cloud.database.writer() as session:
        work(session)


def answer_audits(cloud: OneProcess, change: Callable[[NetworkAudit], NetworkAudit]) -> None:
    """As of a worker whose networks outlive it, which has something else."""
    audit = cloud.network.audit
    cloud.network.audit = lambda *, after: change(audit(after=after))  # type: ignore[method-assign]


def port_of(cloud: OneProcess, server_id: str) -> str:
    return cloud.ports(server_id)[0].id


def test_a_healthy_cloud_has_nothing_to_find_after_every_action(cloud: OneProcess) -> None:
    for name, scenario in SCENARIOS.items():
        if name == "unshelve" or WORKFLOWS[name].resource_type != actions.SERVER:
            continue  # of the server that was shelved
        server_id, action_id = scenario.prepare(cloud)
        cloud.run(action_id)
        if name == "shelve":
            cloud.run(cloud.begin_action(server_id, "unshelve"))
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO), sa.delete(NetworkChange))
    assert findings(cloud) == ()


def test_what_is_under_way_is_no_finding(cloud: OneProcess) -> None:
    """Each action stands between its steps: begun, and nothing done yet."""
    for name in ("create", "delete", "resize", "rebuild", "shelve"):
        SCENARIOS[name].prepare(cloud)
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO), sa.delete(NetworkChange))
    assert findings(cloud) == ()


def test_what_only_one_of_two_looks_sees_is_no_finding(cloud: OneProcess, server_id: str) -> None:
    del server_id
    change(cloud, sa.update(Host).values(ram_mb_claimed=9999))
    passing = audits(cloud)
    passing._wait = lambda seconds: repair(cloud)
    assert passing.audit(CTXT, settled_s=60) == AuditReport()


def test_a_reconciler_that_fails_does_not_keep_the_others_from_repairing(
    cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(services: Any) -> None:  # Services
        raise RuntimeError("broken")

    change(cloud, sa.update(Host).values(ram_mb_claimed=9999))
    monkeypatch.setattr(reconcilers, "RECONCILERS", (reconcilers.Reconciler(broken), *reconcilers.RECONCILERS))
    with pytest.raises(errors.Unavailable, match="broken"):
        repair(cloud)
    assert findings(cloud) == ()


# What is made, and the (kind, resource) that it is found as; reconcilers repair it.
def claim_sums(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    host = str(cloud.server(server_id).host)
    change(cloud, sa.update(Host).where(Host.name == host).values(ram_mb_claimed=Host.ram_mb_claimed + 512))
    return kinds.CLAIM_SUMS.name, host


def claim_without_server(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    lost = new_id()
    host = cloud.server(server_id).host
    change(cloud, sa.insert(Claim).values(server_id=lost, host=host, vcpus=0, ram_mb=0, disk_gb=0),
           sa.update(Host).where(Host.name == host).values(servers_claimed=2))
    return kinds.CLAIM_WITHOUT_SERVER.name, lost


def left_over(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """As after a delete while the host was down."""
    change(cloud, sa.delete(Claim), sa.update(Host).values(servers_claimed=0, vcpus_claimed=0, ram_mb_claimed=0, disk_gb_claimed=0),
           sa.delete(Port), sa.update(Server).values(deleted_at=utcnow(), vm_state="deleted"))
    return kinds.LEFT_OVER.name, server_id


def network_without_row(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    cloud.run(cloud.begin_delete(server_id))
    cloud.services.network_changed()
    write(cloud, lambda session: networks.delete(session, networks.get(session, cloud.network_id)))
    return kinds.NETWORK_WITHOUT_ROW.name, cloud.network_id


def floating_ip_on_host(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """The host has an association that was ended while it was away."""
    owned = cloud.network_records.owned
    kept = [FloatingIpAssociation(server_id=server_id, address="203.0.113.9", fixed_address="10.0.0.9")]
    cloud.network_records.owned = lambda: dataclasses.replace(owned(), floating=tuple(kept))  # type: ignore[method-assign]
    answer_audits(cloud, lambda held: dataclasses.replace(held, floating=tuple(kept)))
    refresh = cloud.network.refresh
    cloud.network.refresh = lambda ports: (kept.clear(), refresh(ports))  # type: ignore[assignment,method-assign]
    return kinds.FLOATING_IP_ON_HOST.name, server_id


def forwarding_behind(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """The host has missed changes of where the network's ports are, which are on another host too."""
    del server_id
    known, check = {cloud.network_id: 7}, cloud.network.check_revisions
    write(cloud, lambda session: session.add(Host(
        name="elsewhere", agent="elsewhere", vcpus=1, ram_mb=1, disk_gb=1, architecture="x86_64", hypervisor_type="QEMU", hypervisor_version=1,
        hypervisor_hostname="elsewhere", virt_type="qemu")))
    change(cloud, sa.insert(Port).values(
        id=new_id(), project_id="", network_id=cloud.network_id, mac_address="fa:16:3e:00:00:04", host="elsewhere"),
        sa.insert(Revision).values(resource_id=of_forwarding(cloud.network_id), revision=9))
    answer_audits(cloud, lambda held: dataclasses.replace(held, is_lasting=False, forwarding=known))
    cloud.network.check_revisions = lambda revisions: (known.update(revisions.forwarding), check(revisions))  # type: ignore[assignment,method-assign]
    return kinds.FORWARDING_BEHIND.name, cloud.network_id


def network_change_unsent(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    change(cloud, sa.insert(NetworkChange).values(kind="server", resource_id=server_id, created_at=utcnow() - HOUR_AGO))
    return kinds.NETWORK_CHANGE.name, server_id


def action_abandoned(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """Its cast was lost, and nobody has looked since."""
    begun = cloud.begin_action(server_id, "stop")
    change(cloud, sa.update(Action).where(Action.id == begun).values(start_time=utcnow() - HOUR_AGO, updated_at=utcnow() - HOUR_AGO))
    change(cloud, sa.update(Action).where(Action.id == begun).values(start_time=utcnow() - datetime.timedelta(seconds=90)))
    change(cloud, sa.update(Action).where(Action.id == begun).values(updated_at=utcnow() - datetime.timedelta(seconds=80)))
    return kinds.ACTION_ABANDONED.name, server_id


def action_late(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """A worker lost its step, and nobody has looked since yesterday."""
    cast = cloud.cast_action(server_id, "stop")
    yesterday = utcnow() - datetime.timedelta(days=1)
    change(cloud, sa.update(Action).where(Action.id == cast).values(start_time=yesterday, updated_at=yesterday))
    return kinds.ACTION_LATE.name, server_id


def action_waiting(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """A soft delete that waited for an action which has ended."""
    write(cloud, lambda session: actions.record(
        session, server_id=server_id, name="soft_delete", request_id="req-1", user_id=CTXT.user_id, project_id=CTXT.project_id,
        state=actions.WAITING) and None)
    change(cloud, sa.update(Action).where(Action.state == actions.WAITING).values(start_time=utcnow() - HOUR_AGO))
    return kinds.ACTION_WAITING.name, server_id


REPAIRED = (claim_sums, claim_without_server, left_over, network_without_row, floating_ip_on_host, forwarding_behind, network_change_unsent, action_abandoned,
            action_late, action_waiting)


@pytest.mark.parametrize("make", REPAIRED, ids=lambda make: make.__name__)
def test_a_disagreement_is_found_and_repaired(cloud: OneProcess, server_id: str, make: Callable[[OneProcess, str], tuple[str, str]]) -> None:
    cloud.services.network_changed()
    made = make(cloud, server_id)
    assert found(cloud) == {made}
    assert all(one.is_repairable for one in findings(cloud))
    repair(cloud)
    assert findings(cloud) == ()


# What nobody repairs: the finding says what the operator can do.
def server_without_claim(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    change(cloud, sa.delete(Claim), sa.update(Host).values(servers_claimed=0, vcpus_claimed=0, ram_mb_claimed=0, disk_gb_claimed=0))
    return kinds.SERVER_WITHOUT_CLAIM.name, server_id


def claim_size(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    host = cloud.server(server_id).host
    change(cloud, sa.update(Claim).values(ram_mb=64), sa.update(Host).where(Host.name == host).values(ram_mb_claimed=64))
    return kinds.CLAIM_SIZE.name, server_id


def unknown_server(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """As after the restore of a copy that is older than the server."""
    left_over(cloud, server_id)
    change(cloud, sa.delete(Server))
    return kinds.UNKNOWN_SERVER.name, server_id


def guest_missing(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    cloud.driver.guests.destroy(server_id)
    cloud.compute_host.records.remove(server_id)
    return kinds.GUEST_MISSING.name, server_id


def network_missing(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    cloud.network_records.drop_server(server_id)
    answer_audits(cloud, lambda held: dataclasses.replace(held, is_lasting=True))
    return kinds.NETWORK_MISSING.name, server_id


def power(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """A report of the guest's power was lost."""
    fake = cloud.driver.guests._state.guests[server_id]
    fake.power = Power.SHUTDOWN
    return kinds.POWER.name, server_id


def guest_not_defined(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """As after virsh undefine."""
    cloud.driver.guests.destroy(server_id)
    return compute_audit.GUEST_NOT_DEFINED, server_id


def guest_without_record(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    cloud.compute_host.records.remove(server_id)
    return compute_audit.GUEST_WITHOUT_RECORD, server_id


def volume_without_record(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    guest = cloud.driver.guests.find(server_id)
    volume = VolumeConnection(attachment_id=new_id(), volume_id=new_id(), connection={"driver_volume_type": "fake", "data": {}})
    cloud.driver.volumes.attach(guest, GuestDisk(source=DiskSource.VOLUME, size_mb=1024, volume=volume))
    return compute_audit.VOLUME_WITHOUT_RECORD, server_id


def volume_not_attached(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """As after virsh detach-disk."""
    volume = VolumeConnection(attachment_id=new_id(), volume_id=new_id(), connection={"driver_volume_type": "fake", "data": {}})
    record = cloud.compute_host.records.get(server_id)
    assert record is not None
    disks = (*record.guest.disks, GuestDisk(source=DiskSource.VOLUME, size_mb=1024, volume=volume))
    cloud.compute_host.records.put(dataclasses.replace(record, guest=dataclasses.replace(record.guest, disks=disks)))
    return compute_audit.VOLUME_NOT_ATTACHED, server_id


def port_of_nothing(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    del server_id
    lost = new_id()
    change(cloud, sa.insert(Port).values(
        id=lost, project_id=CTXT.project_id, network_id=cloud.network_id, mac_address="fa:16:3e:00:00:01", device_id=new_id(), device_owner=SERVER_OWNER))
    return kinds.PORT_OWNER.name, lost


def floating_ips_port_of_nothing(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    _, lost = port_of_nothing(cloud, server_id)
    change(cloud, sa.update(Port).where(Port.id == lost).values(device_owner=OWNER))
    return kinds.PORT_OWNER.name, lost


def port_binding(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    port_id = port_of(cloud, server_id)
    change(cloud, sa.update(Port).where(Port.id == port_id).values(host="elsewhere"))
    return kinds.PORT_BINDING.name, port_id


def address_twice(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """By a second subnet of the same range, which the API refuses."""
    port_id, subnet_id, other = port_of(cloud, server_id), new_id(), new_id()
    address = cloud.ports(server_id)[0].addresses[0].address
    change(cloud, sa.insert(networks.Subnet).values(id=subnet_id, network_id=cloud.network_id, project_id=CTXT.project_id, cidr="10.0.0.0/24"),
           sa.insert(Port).values(id=other, project_id=CTXT.project_id, network_id=cloud.network_id, mac_address="fa:16:3e:00:00:02"),
           sa.insert(Address).values(subnet_id=subnet_id, port_id=other, address=address))
    assert port_id != other
    return kinds.ADDRESS_TWICE.name, cloud.network_id


def floating_ip_target(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    """It leads to an address that the port does not have any more. Its own is one that no server gets by chance."""
    plug, floating, subnet_id = new_id(), new_id(), cloud.ports(server_id)[0].addresses[0].subnet_id
    change(cloud, sa.insert(Port).values(
        id=plug, project_id="", network_id=cloud.network_id, mac_address="fa:16:3e:00:00:03", device_id=floating, device_owner=OWNER),
        sa.insert(Address).values(subnet_id=subnet_id, port_id=plug, address="10.0.0.255"),
        sa.insert(FloatingIp).values(id=floating, project_id=CTXT.project_id, network_id=cloud.network_id, plug_id=plug, address="10.0.0.255",
                                     port_id=plug, fixed_address="10.0.0.78"))
    return kinds.FLOATING_IP_TARGET.name, floating


def task_without_action(cloud: OneProcess, server_id: str) -> tuple[str, str]:
    change(cloud, sa.update(Server).values(task_state="powering-off"))
    return kinds.TASK_WITHOUT_ACTION.name, server_id


REPORTED = (server_without_claim, claim_size, unknown_server, guest_missing, network_missing, power, guest_not_defined, guest_without_record, volume_without_record, volume_not_attached,
            port_of_nothing, floating_ips_port_of_nothing, port_binding, address_twice, floating_ip_target, task_without_action)


@pytest.mark.parametrize("make", REPORTED, ids=lambda make: make.__name__)
def test_a_disagreement_that_nobody_repairs_is_found(cloud: OneProcess, server_id: str, make: Callable[[OneProcess, str], tuple[str, str]]) -> None:
    cloud.services.network_changed()
    made = make(cloud, server_id)
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO))
    assert found(cloud) == {made}
    repair(cloud)
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO))
    assert found(cloud) == {made}
    assert not any(one.is_repairable for one in findings(cloud))


def test_a_server_whose_own_host_does_not_have_it_is_found_on_the_other(cloud: OneProcess, server_id: str) -> None:
    """Nothing is removed from this host: it may be the same one by a new name."""
    change(cloud, sa.update(Server).values(agent="other"))
    here, elsewhere = cloud.services, SimpleNamespace(owned_among=lambda ctxt, server_ids: ())
    services = dataclasses.replace(here, compute=lambda agent: here.compute(agent) if agent == "node" else elsewhere,
                                   network=lambda agent: here.network(agent) if agent == "node" else elsewhere)
    beside = Audits(services, deadline_s=cloud.engine.deadline_s, look=lambda: None, wait=lambda seconds: None)
    assert {(one.kind, one.resource) for one in beside.audit(CTXT, settled_s=60).findings} == {(kinds.MISPLACED.name, server_id)}


def test_simulated_networks_end_with_their_worker(cloud: OneProcess, server_id: str) -> None:
    cloud.services.network_changed()
    cloud.network_records.drop_server(server_id)
    assert found(cloud) == set()


def test_a_worker_that_is_down_is_not_checked(cloud: OneProcess, server_id: str) -> None:
    del server_id
    cloud.services.network_changed()
    change(cloud, sa.update(Service).values(forced_down=True))
    assert {(one.kind, one.host) for one in audits(cloud).audit(CTXT, settled_s=60).findings} == {(kinds.NOT_CHECKED.name, "node")}


def test_all_of_a_kind_are_counted_and_some_listed(cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read in pages; whether the first look knows all that it has found or not."""
    del server_id
    cloud.services.network_changed()
    lost = [new_id() for _ in range(MOST_LISTED + 5)]
    change(cloud, *(sa.insert(Port).values(id=port_id, project_id="", network_id=cloud.network_id, mac_address=f"fa:16:3e:00:01:{number:02x}",
                                           device_id=new_id(), device_owner=SERVER_OWNER) for number, port_id in enumerate(lost)))
    monkeypatch.setattr(rows, "_PAGE", 7)
    for most_compared in (1000, 10):
        monkeypatch.setattr(look, "MOST_COMPARED", most_compared)
        report = audits(cloud).audit(CTXT, settled_s=60)
        assert [one.resource for one in report.findings] == sorted(lost)[:MOST_LISTED]
        assert report.omitted == {kinds.PORT_OWNER.name: 5}


def test_what_workers_do_not_list_is_counted_when_both_looks_have_it() -> None:
    finding = kinds.GUEST_MISSING.found("s", "gone", host="node1")
    of_worker = AuditReport(findings=(finding,), omitted={finding.kind: 7})
    first = Look()
    first.add_report(of_worker)
    both, only_second = Look(first), Look(Look())
    for second in (both, only_second):
        second.add_report(of_worker)
    assert (both.report(), only_second.report()) == (of_worker, AuditReport())


def test_workers_are_compared_page_by_page_with_one_session_for_each(cloud: OneProcess, server_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud.services.network_changed()
    missing, off, _ = sorted([server_id, active(cloud), active(cloud)])
    guest_missing(cloud, missing)
    power(cloud, off)
    change(cloud, sa.update(Server).values(updated_at=utcnow() - HOUR_AGO))
    cloud.report_services()
    for page, sessions in ((1000, 2 + 2), (1, 2 + 2 + 4)):  # for the rows and the services; of two guests, and of three servers and their network
        monkeypatch.setattr(compute_audit, "PAGE", page)
        monkeypatch.setattr(network_records, "PAGE", page)
        opened, reader = [], cloud.database.reader
        monkeypatch.setattr(cloud.database, "reader", lambda opened=opened, reader=reader: opened.append(1) or reader())
        assert {(one.kind, one.resource) for one in audits(cloud).audit(CTXT, settled_s=60).findings} == {
            (kinds.GUEST_MISSING.name, missing), (kinds.POWER.name, off)}
        assert len(opened) == 2 * sessions
        monkeypatch.setattr(cloud.database, "reader", reader)


def test_docs_describe_every_kind() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "audit.md").read_text(), re.MULTILINE))
    assert described == {*(kind.name for kind in KINDS), *image_audit.ADVICE}


def test_the_conductor_knows_every_kind_that_workers_find() -> None:
    assert {binary: set(of_worker) for binary, of_worker in kinds.OF_WORKERS.items()} == {
        "nova-compute": {compute_audit.GUEST_WITHOUT_RECORD, compute_audit.GUEST_NOT_DEFINED, compute_audit.DISKS_WITHOUT_RECORD,
                         compute_audit.VOLUME_WITHOUT_RECORD, compute_audit.VOLUME_NOT_ATTACHED},
        "nova-network": {network_audit.NETWORK_NOT_MADE, network_audit.DEVICE_WITHOUT_RECORD, network_audit.FORWARDING_ENTRIES}}
