# SPDX-License-Identifier: Apache-2.0
"""What a build promises beyond what holds for every workflow."""

from __future__ import annotations

import datetime
import json
import threading

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.reconcilers import orphans, purge
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.db.base import utcnow
from nova_lite.db.compute import actions, server_migrations, servers
from nova_lite.db.compute.actions import Action
from nova_lite.db.compute.server_migrations import ServerMigration
from nova_lite.db.compute.servers import Server
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.rpc.compute import Guest
from nova_lite.runtime import tokens
from nova_lite.values.resources import Resources
from tests.support.flows.one_process import OneProcess


def test_build_journals_each_step_as_an_event(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert [(event.name, event.result) for event in cloud.events(action_id)] == [
        ("pick_host", "Success"), ("prepare_network", "Success"), ("start_guest", "Success")]
    assert all(event.finish_time and event.host for event in cloud.events(action_id))


def test_build_says_per_filter_why_no_host_would_do(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).where(Service.host == "node-1", Service.binary == "nova-compute").values(disabled=True))
    too_much = 10**7
    server_id, action_id = cloud.create_server(ram_mb=too_much)
    cloud.run(action_id)
    server = cloud.server(server_id)
    assert server.vm_state == "error"
    message = server.fault["message"]  # type: ignore[index]
    assert message.startswith("No valid host was found. 2 hosts: ")
    assert "1× disabled by an operator" in message
    assert "1× not enough memory" in message
    assert f"Nearest fit: not enough memory: {too_much} MB requested" in message
    assert cloud.events(action_id)[0].details == message


def test_build_moves_to_another_host_when_one_fails(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    start = cloud.driver.power.start

    def start_or_fail(guest: object) -> object:
        tried.append(guest.host)  # type: ignore[attr-defined]
        if len(tried) == 1:
            raise errors.HypervisorFailed(host=tried[0], action="start the guest", reason="it is out of order")
        return start(guest)  # type: ignore[arg-type, return-value, func-returns-value]

    monkeypatch.setattr(cloud.driver.power, "start", start_or_fail)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "active"
    assert sorted(tried) == ["node-1", "node-2"]
    assert cloud.server(server_id).host == tried[1]
    assert [event.attempt for event in cloud.events(action_id)] == [1, 1, 1, 2, 2, 2]


def test_build_reports_what_happened_on_each_host(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(guest: object) -> None:
        raise errors.HypervisorFailed(host=guest.host, action="start the guest", reason="no power")  # type: ignore[attr-defined]

    monkeypatch.setattr(cloud.driver.power, "start", fail)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    fault = cloud.server(server_id).fault
    assert fault is not None
    assert "No valid host was found. 2 hosts: 2× already tried" in fault["message"]
    assert "no power" in fault["message"]
    assert "node-1" in fault["details"]
    assert "node-2" in fault["details"]
    assert cloud.leftovers(server_id) == {}


def test_a_build_that_is_undone_releases_its_own_host_only(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    others = []

    def fail(guest: Guest) -> None:
        other = "node-2" if guest.host == "node-1" else "node-1"
        with cloud.database.writer() as session:
            assert claims.take(session, server_id=guest.server_id, host=other, resources=Resources(vcpus=1), ratios=claims.allocation_ratios(cloud.conf),
                               availability_zone="nova")
        others.append(other)
        raise errors.HypervisorFailed(host=guest.host, action="start the guest", reason="no power")

    cloud.conf.set_override("build_attempts", 1, group="conductor")
    monkeypatch.setattr(cloud.driver.power, "start", fail)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    assert cloud.server(server_id).vm_state == "error"
    with cloud.database.reader() as session:
        assert [claim.host for claim in claims.of_server(session, server_id)] == others


def test_delete_wins_over_a_build_that_waits_on_the_host(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, go_on = threading.Event(), threading.Event()
    start = cloud.driver.power.start

    def wait(guest: object) -> object:
        reached.set()
        assert go_on.wait(20)
        return start(guest)  # type: ignore[arg-type, return-value, func-returns-value]

    monkeypatch.setattr(cloud.driver.power, "start", wait)
    server_id, action_id = cloud.create_server()
    building = threading.Thread(target=cloud.run, args=(action_id,))
    building.start()
    assert reached.wait(20)
    delete_id = cloud.begin_delete(server_id)
    deleting = threading.Thread(target=cloud.run, args=(delete_id,))
    deleting.start()
    go_on.set()
    building.join(20)
    deleting.join(20)
    assert cloud.server(server_id).vm_state == "deleted"
    assert cloud.leftovers(server_id) == {}


def test_a_claim_is_never_more_than_the_host_has(cloud: OneProcess) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.update(Host).values(ram_mb=300, reserved_ram_mb=0))
    begun = [cloud.create_server() for _ in range(6)]
    threads = [threading.Thread(target=cloud.run, args=(action_id,)) for _, action_id in begun]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    states = [cloud.server(server_id).vm_state for server_id, _ in begun]
    assert sorted(states) == ["active"] * 4 + ["error"] * 2  # two of 128 MB fit on each of two hosts of 300


def test_orphans_are_removed_from_hosts_and_claims(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:  # as if the row had gone while the host was away
        session.execute(sa.text("UPDATE servers SET deleted_at = created_at, vm_state = 'deleted'"))
    assert set(cloud.leftovers(server_id)) >= {"claims", "held"}
    orphans.remove(cloud.services, HostCalls())
    orphans.release_claims(cloud.services)
    assert not {"claims", "held", "sums"} & set(cloud.leftovers(server_id))


def test_what_no_row_knows_is_never_touched(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        for table in ("action_events", "actions", "addresses", "port_security_groups", "ports", "servers"):
            session.execute(sa.text(f"DELETE FROM {table}"))  # names from this line
    orphans.remove(cloud.services, HostCalls())
    assert server_id in cloud.guests()


def test_a_deleted_server_keeps_neither_user_data_nor_files_nor_a_password(cloud: OneProcess) -> None:
    """Its row is kept for a month: they may be secret, and large."""
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    with cloud.database.writer() as session:
        row = session.get_one(Server, cloud.server(server_id).number)
        row.user_data, row.files, row.posted_password = "eA==", [{"path": "/a", "contents": "eA=="}], "x"
    cloud.run(cloud.begin_delete(server_id))
    row = cloud.server(server_id)
    assert (row.vm_state, row.user_data, row.files, row.posted_password) == ("deleted", None, None, None)


def test_servers_deleted_long_ago_are_purged_with_their_actions(cloud: OneProcess) -> None:
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.run(cloud.begin_delete(server_id))
    purge.purge(cloud.services)
    assert cloud.server(server_id).vm_state == "deleted"
    cloud.now_is = lambda: utcnow() + datetime.timedelta(days=31)
    purge.purge(cloud.services)
    with cloud.database.reader() as session:
        counts = [session.scalar(sa.text(f"SELECT count(*) FROM {table}")) for table in ("servers", "actions", "action_events")]
    assert counts == [0, 0, 0]


def test_of_very_many_actions_and_migrations_of_a_server_the_newest_stay(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who locks and unlocks a server all day long fills no database."""
    monkeypatch.setattr(purge, "KEPT_ACTIONS", 3)
    monkeypatch.setattr(purge, "KEPT_MIGRATIONS", 1)
    monkeypatch.setattr(purge, "ROWS", 2)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    other, _ = cloud.create_server()
    with cloud.database.writer() as session:
        added = [
            actions.record(session, server_id=server_id, name="lock", request_id=f"r{number}", user_id="u", project_id="p",
                           state=actions.DONE) for number in range(8)]
        server = servers.get_any(session, server_id)
        for status in ("confirmed", "reverted", "finished"):
            server_migrations.begin(session, server, user_id="u", new_flavor=server.flavor, old_vm_state="active", old_disk_config="AUTO").status = status
    purge.purge(cloud.services)
    with cloud.database.reader() as session:
        kept = list(session.scalars(sa.select(Action.id).where(Action.resource_id == server_id).order_by(Action.id)))
        migrations = list(session.scalars(sa.select(ServerMigration.status).order_by(ServerMigration.number)))
        of_other = session.scalar(sa.select(sa.func.count()).where(Action.resource_id == other))
    assert (kept, of_other, migrations) == (added[-3:], 1, ["reverted", "finished"])


def password_in(documents: dict[str, str]) -> str | None:
    """The password in meta_data.json."""
    password: str | None = json.loads(documents["openstack/latest/meta_data.json"]).get("admin_pass")
    return password


@pytest.mark.parametrize("is_built", [True, False])
def test_a_password_is_on_the_config_drive_and_nowhere_else(
    cloud: OneProcess, is_built: bool, monkeypatch: pytest.MonkeyPatch  # a parameter of the test
) -> None:
    tokens.KeyRepository(tokens.directory_of(cloud.conf)).create()
    sealed = tokens.open_tokens(cloud.conf).encrypt_secret("secret-1")
    drives: list[str | None] = []

    def make(guest: Guest) -> None:
        drives.append(password_in(guest.documents))
        if not is_built:
            raise errors.HypervisorFailed(host=guest.host, action="make a config drive", reason="full")

    monkeypatch.setattr(cloud.driver.disks, "make_config_drive", make)
    server_id, action_id = cloud.create_server(config_drive=True)
    with cloud.database.writer() as session:
        session.get_one(Action, action_id).inputs = {"admin_pass": sealed}
    cloud.run(action_id)
    assert set(drives) == {"secret-1"}
    if is_built:
        assert password_in(cloud.network_records.servers[server_id].documents) is None
    with cloud.database.reader() as session:
        ended = session.get_one(Action, action_id)
        assert (ended.state, ended.inputs) == ("done" if is_built else "failed", {})


def test_a_rescue_has_a_drive_of_its_own_with_its_password(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.KeyRepository(tokens.directory_of(cloud.conf)).create()
    drives: list[tuple[bool, str | None]] = []
    monkeypatch.setattr(cloud.driver.disks, "make_config_drive", lambda guest: drives.append(
        (guest.rescue is not None, password_in(guest.documents))))
    server_id, action_id = cloud.create_server(config_drive=True)
    cloud.run(action_id)
    sealed = tokens.open_tokens(cloud.conf).encrypt_secret("secret-2")
    rescue_id = cloud.begin_action(server_id, "rescue", inputs={"image_id": cloud.image_id, "admin_pass": sealed})
    cloud.run(rescue_id)
    assert cloud.server(server_id).vm_state == "rescued"
    assert drives == [(False, None), (True, "secret-2")]
    with cloud.database.reader() as session:
        assert session.get_one(Action, rescue_id).inputs == {"image_id": cloud.image_id}


def test_a_rescue_without_a_drive_makes_none(cloud: OneProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    drives: list[Guest] = []
    monkeypatch.setattr(cloud.driver.disks, "make_config_drive", drives.append)
    server_id, action_id = cloud.create_server()
    cloud.run(action_id)
    cloud.run(cloud.begin_action(server_id, "rescue", inputs={"image_id": cloud.image_id}))
    assert (cloud.server(server_id).vm_state, drives) == ("rescued", [])
