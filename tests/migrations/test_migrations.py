# SPDX-License-Identifier: Apache-2.0
"""Migrations on the three databases that we support, for real and with data."""

from __future__ import annotations

import base64
import datetime
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from nova_lite import errors
from nova_lite.cmd.lite.db import bootstrap
from nova_lite.context import Context
from nova_lite.db import migrate
from nova_lite.db.base import Base
from nova_lite.db.compute import actions, servers
from nova_lite.db.compute.server_groups import ServerGroup
from nova_lite.db.engine import Database
from nova_lite.db.hosts import claims
from nova_lite.db.hosts.hosts import Host, Service
from nova_lite.db.identity import project_tags, users
from nova_lite.payloads import placement
from nova_lite.scheduler.service import Placements
from nova_lite.values.flavor import Flavor
from nova_lite.values.resources import AllocationRatios, Resources
from tests.migrations import release_0_1
from tests.support.options import defaults
from tools.lib.services import MariaDB, Postgres


class Broken(errors.NovaLiteError):
    """What a test raises."""


BACKENDS = ("sqlite", "postgresql", "mariadb")
FLAVOR = Flavor(id="1", name="ü", vcpus=1, ram_mb=1, root_gb=1, extra_specs={"a": "ü"})


@pytest.fixture(scope="module")
def servers_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Postgres | MariaDB]]:
    started: dict[str, Postgres | MariaDB] = {}
    yield started
    for part in started.values():
        part.stop()


@pytest.fixture(params=BACKENDS)
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path,
    servers_of: dict[str, Postgres | MariaDB],
) -> Iterator[Database]:
    kind = request.param
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/m.sqlite"
    else:
        if os.geteuid() != 0:
            pytest.fail("PostgreSQL and MariaDB are started by root here; run as root")
        if kind not in servers_of:
            part = (Postgres if kind == "postgresql" else MariaDB)(tmp_path_factory.mktemp(kind))
            part.start()
            servers_of[kind] = part
        url = servers_of[kind].create_database(f"t{abs(hash(request.node.name)) % 10**9}")
    made = Database(url)
    yield made
    made.close()


def test_the_head_is_what_the_models_say(database: Database) -> None:
    migrate.upgrade(database.engine)
    with database.engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert found == []
    assert migrate.current(database.engine) == migrate.head()


def test_upgrading_twice_and_at_once_is_harmless(database: Database) -> None:
    url = database.url.render_as_string(hide_password=False)
    code = "import sys; from nova_lite.db import engine, migrate; migrate.upgrade(engine.Database(sys.argv[1]).engine)"
    started = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, url]) for _ in range(3)]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    migrate.upgrade(database.engine)


def test_an_upgrade_that_is_cut_anywhere_can_be_repeated(database: Database) -> None:
    """Fault K: MariaDB commits each DDL statement by itself, so an upgrade that is killed leaves a part behind."""
    statements: set[str] = set()
    cuts = 1000 if database.url.get_backend_name().startswith("m") else 30  # the others take all of it back

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if len(statements) < cuts and statement not in statements and statement.lstrip().startswith(("CREATE", "ALTER", "DROP", "INSERT", "UPDATE")):
            statements.add(statement)
            if cuts > 30 or len(statements) == cuts:
                raise Broken(reason="cut by the test")

    sa.event.listen(database.engine, "after_cursor_execute", cut)
    is_done, attempts = False, 0
    while not is_done:
        attempts += 1
        try:
            migrate.upgrade(database.engine)
            is_done = True
        except Broken:
            database.engine.dispose()
    sa.event.remove(database.engine, "after_cursor_execute", cut)
    assert attempts == (len(statements) + 1 if cuts > 30 else 2)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_rows_come_back_as_they_went(database: Database, tmp_path: Path) -> None:
    migrate.upgrade(database.engine)
    conf = defaults()
    conf.set_override("state_path", str(tmp_path))
    bootstrap(conf, database)
    bootstrap(conf, database)
    moment = datetime.datetime(2026, 2, 3, 4, 5, 6, 123456)
    user_data = base64.b64encode(os.urandom(49_000)).decode()
    with database.writer() as session:
        server = servers.Server(
            project_id="p", user_id="u", name="Zoë ☃ 🐢", hostname="zoe", flavor=FLAVOR,
            vcpus=1, ram_mb=1, total_gb=1, vm_state="building", task_state="scheduling", reservation_id="r",
            user_data=user_data, launched_at=moment)
        session.add(server)
        session.flush()
        server_id = server.id
        actions.add(session, server_id=server_id, name="create", request_id="req-1", user_id="u", project_id="p")
        session.add(Host(name="h", agent="h", vcpus=2, ram_mb=10, disk_gb=10, architecture="x86_64", hypervisor_type="QEMU",
                         hypervisor_version=1, hypervisor_hostname="h", virt_type="qemu"))
    with database.writer() as session:
        size, ratios = Resources(vcpus=1, ram_mb=6, disk_gb=1), AllocationRatios()
        assert claims.take(session, server_id=server_id, host="h", resources=size, ratios=ratios)
    with database.writer() as session:
        assert not claims.take(session, server_id="another", host="h", resources=size, ratios=ratios)
    with database.reader() as session:
        found = servers.get(session, server_id)
        assert (found.name, found.user_data, found.launched_at) == ("Zoë ☃ 🐢", user_data, moment)
        assert found.flavor == FLAVOR
        assert session.scalar(sa.select(sa.func.count()).select_from(users.Role)) == 5


def test_text_is_compared_by_its_characters(database: Database) -> None:
    """The collation that release 0.1 had on MariaDB takes these for one; the upgrade is cut after some of what it does to each table."""
    release_0_1.load(database)
    if database.url.get_backend_name() in ("mysql", "mariadb"):
        with database.engine.begin() as connection:  # it took such a name of a group for the group's
            connection.execute(sa.text("UPDATE security_group_rules SET group_id = upper(group_id), remote_group_id = upper(remote_group_id)"))
    uncut = ["DROP FOREIGN KEY", "CONVERT TO", "ADD CONSTRAINT"]

    def cut(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        for words in uncut:
            if words in statement:
                uncut.remove(words)
                raise Broken(reason="cut by the test")

    sa.event.listen(database.engine, "after_cursor_execute", cut)
    while migrate.current(database.engine) != migrate.head():
        try:
            migrate.upgrade(database.engine)
        except Broken:
            database.engine.dispose()
    sa.event.remove(database.engine, "after_cursor_execute", cut)
    names = ["Prod", "prod", "pröd", "prod "]
    with database.writer() as session:
        session.add(users.Domain(id="d", name="d"))
        session.flush()
        session.add_all([users.Project(id=f"p{number}", domain_id="d", name=name) for number, name in enumerate(names)])
        session.flush()
        project_tags.replace(session, "p0", names)
    with database.reader() as session:
        assert sorted(project_tags.tags_of(session, ["p0"])["p0"]) == sorted(names)
        assert [[project.id for project in users.find(session, users.Project, name=name)] for name in names] == [["p0"], ["p1"], ["p2"], ["p3"]]
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
        ids = "SELECT group_id AS id FROM security_group_rules UNION SELECT remote_group_id FROM security_group_rules"
        assert connection.scalar(sa.text(f"SELECT count(*) FROM ({ids}) AS named")) > 1
        assert connection.scalar(sa.text(f"SELECT count(*) FROM ({ids}) AS named WHERE id IS NOT NULL AND id NOT IN (SELECT id FROM security_groups)")) == 0


def test_two_callers_never_both_begin_an_action(database: Database) -> None:
    migrate.upgrade(database.engine)
    with database.writer() as session:
        server = servers.Server(
            project_id="p", user_id="u", name="s", hostname="s", flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1), vcpus=1, ram_mb=1, total_gb=1,
            vm_state="active", reservation_id="r")
        session.add(server)
        session.flush()
        server_id = server.id
    outcomes: list[str] = []
    ready = threading.Barrier(6)

    def begin() -> None:
        with database.reader() as session:
            found = servers.get(session, server_id)
        ready.wait(20)
        try:
            with database.writer() as session:
                servers.begin(session, session.merge(found, load=False), "pause")
            outcomes.append("won")
        except Exception as error:  # counted below
            outcomes.append(type(error).__name__)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(outcomes) == ["WrongState"] * 5 + ["won"]


@pytest.mark.parametrize(("policy", "hosts_used"), [("anti-affinity", 3), ("affinity", 1)])
def test_builds_of_one_group_that_race_never_land_wrongly(database: Database, policy: str, hosts_used: int) -> None:
    """Three schedulers with views of their own place six servers of a group on three hosts at once."""
    migrate.upgrade(database.engine)
    names = [f"h{number}" for number in range(3)]
    with database.writer() as session:
        for name in names:
            session.add(Host(name=name, agent=name, vcpus=64, ram_mb=100, disk_gb=100, architecture="x86_64",
                             hypervisor_type="QEMU", hypervisor_version=1, hypervisor_hostname=name, virt_type="fake"))
            session.add(Service(binary="nova-compute", host=name, agent=name, availability_zone="nova"))
        group = ServerGroup(project_id="p", user_id="u", name="g", policy=policy)
        session.add(group)
        session.flush()
        made = [servers.Server(
            project_id="p", user_id="u", name="s", hostname="s", flavor=Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1), vcpus=1, ram_mb=1, total_gb=1,
            vm_state="building", reservation_id="r", group_id=group.id) for _ in range(6)]
        session.add_all(made)
        session.flush()
        requests = [placement.request(session, server) for server in made]
    conf = defaults()
    schedulers = [Placements(conf, database, rng=random.Random(number)) for number in range(3)]
    ready, outcomes = threading.Barrier(6), []

    def place(number: int) -> None:
        ready.wait(20)
        try:
            outcomes.append(schedulers[number % 3].pick_host(Context(), request=requests[number]).host)
        except errors.NoValidHost as refused:
            outcomes.append(refused.text)

    threads = [threading.Thread(target=place, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    placed = [outcome for outcome in outcomes if outcome in names]
    assert len(set(placed)) == hosts_used
    assert len(placed) == (6 if policy == "affinity" else 3)
    refused = [outcome for outcome in outcomes if outcome not in names]
    assert all("has servers of the server group" in text for text in refused)


def test_open_actions_of_release_0_1_get_orders_and_the_state_that_their_steps_read(database: Database) -> None:
    """And the hosts that an operator had disabled get no claims."""
    release_0_1.load(database)
    with database.engine.begin() as connection:
        for host, reason in (("node-1", "AUTO: libvirt is silent"), ("node-2", None)):
            connection.execute(sa.text("UPDATE services SET disabled = :yes, disabled_reason = :reason WHERE host = :host").bindparams(
                sa.bindparam("yes", value=True, type_=sa.Boolean), host=host, reason=reason))
    migrate.upgrade(database.engine)
    with database.reader() as session:
        assert {host.name: host.closed for host in session.scalars(sa.select(Host)) if host.name in ("node-1", "node-2")} == {"node-1": False, "node-2": True}
    with database.reader() as session:
        rows = list(session.scalars(sa.select(actions.Action).where(actions.Action.state.in_(actions.OPEN))))
        agents = {server.id: server.agent for server in session.scalars(sa.select(servers.Server))}
        by_id = {row.id: row for row in rows}
    assert len(rows) > len(release_0_1.CASES) - 5
    assert len({row.nonce for row in rows}) == len(rows)
    assert {row.epoch > 0 and row.lease_until is None and row.awaiting_step is None for row in rows} == {True}
    assert all(row.saved["agent"] for row in rows if row.step is not None and agents[row.resource_id])
    for label, step in (("create_backup undoing compute_snapshot_instance", "find_server"), ("detach_interface undoing unplug_guest", "find_server"),
                        ("create_backup queued", None), ("detach_interface after unplug_guest", None)):
        assert by_id[release_0_1.CASES[label]["action"]].step == step
    assert by_id[release_0_1.CASES["unshelve:forced after start_guest"]["action"]].saved["forced_host"] == "node-2"
