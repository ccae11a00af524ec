# SPDX-License-Identifier: Apache-2.0
"""`nova-lite doctor` says of each thing whether it is right, why, and what to do about it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from oslo_config import cfg

from nova_lite.cmd import pid_file
from nova_lite.cmd.lite import doctor
from nova_lite.cmd.lite.diagnosis import cloud, machine
from nova_lite.cmd.lite.diagnosis.finding import Check, Finding, Result, note, ok, problem
from nova_lite.db import migrate
from nova_lite.db.base import utcnow
from nova_lite.db.engine import open_database
from nova_lite.payloads import service_reports
from nova_lite.rpc.conductor import ServiceReport
from tests.support.options import defaults


@pytest.fixture
def conf(tmp_path: Path) -> cfg.ConfigOpts:
    made = defaults()
    made.set_override("state_path", str(tmp_path / "state"))
    made.set_override("port", _free_port(), group="api")
    return made


@pytest.fixture
def state(conf: cfg.ConfigOpts) -> Path:
    made = Path(conf.state_path)
    made.mkdir(mode=0o700)
    return made


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _taken(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def test_a_free_port_is_good(conf: cfg.ConfigOpts, state: Path) -> None:
    assert cloud.check_port(conf).result is Result.OK


def test_a_port_of_another_program_is_a_problem_that_names_it(conf: cfg.ConfigOpts, state: Path) -> None:
    with _taken(conf.api.port):
        found = cloud.check_port(conf)
    assert found.result is Result.PROBLEM
    assert f"pid {os.getpid()}" in found.reason
    assert "--port" in found.remedy


def test_a_state_directory_that_is_not_there_is_only_a_note(conf: cfg.ConfigOpts) -> None:
    assert machine.check_state_directory(conf).result is Result.NOTE


def test_a_state_directory_that_others_may_write_is_a_problem(conf: cfg.ConfigOpts, state: Path) -> None:
    state.chmod(0o777)
    found = machine.check_state_directory(conf)
    assert found.result is Result.PROBLEM
    assert found.remedy == f"chmod go-w {state}"


def test_a_secret_that_others_may_read_is_a_problem(conf: cfg.ConfigOpts, state: Path) -> None:
    (state / "admin-password").write_text("x")
    (state / "admin-password").chmod(0o644)
    found = machine.check_state_directory(conf)
    assert found.result is Result.PROBLEM
    assert "admin-password" in found.reason


def test_a_state_directory_as_we_make_it_is_good(conf: cfg.ConfigOpts, state: Path) -> None:
    open_database(conf).close()
    assert machine.check_state_directory(conf).result is Result.OK


def test_disk_space_is_looked_up_where_the_state_will_be(conf: cfg.ConfigOpts) -> None:
    assert "GiB free" in machine.check_disk_space(conf).reason


def test_no_database_yet_is_a_note(conf: cfg.ConfigOpts, state: Path) -> None:
    assert cloud.check_database(conf).result is Result.NOTE


def test_a_database_without_our_tables_is_a_problem_with_the_command_that_makes_them(
    conf: cfg.ConfigOpts, state: Path
) -> None:
    open_database(conf).engine.connect().close()
    found = cloud.check_database(conf)
    assert found.result is Result.PROBLEM
    assert found.remedy == "nova-lite db sync"


def test_an_older_database_in_the_state_directory_is_a_note_since_the_cloud_upgrades_it(conf: cfg.ConfigOpts, state: Path) -> None:
    database = open_database(conf)
    migrate.upgrade(database.engine, "0008")
    database.close()
    found = cloud.check_database(conf)
    assert found.result is Result.NOTE
    assert f"is at revision 0008, this version needs {migrate.head()}" in found.reason
    assert found.remedy == "nova-lite up upgrades it; copy the state directory before, if you may want to go back"


def test_an_older_database_of_separate_daemons_is_a_problem(conf: cfg.ConfigOpts, state: Path) -> None:
    conf.set_override("connection", f"sqlite:///{state}/shared.sqlite", group="database")
    database = open_database(conf)
    migrate.upgrade(database.engine, "0008")
    database.close()
    found = cloud.check_database(conf)
    assert found.result is Result.PROBLEM
    assert found.remedy == "nova-lite db sync"


def test_a_database_of_a_newer_release_is_a_problem_that_no_sync_repairs(conf: cfg.ConfigOpts, state: Path) -> None:
    database = open_database(conf)
    migrate.upgrade(database.engine)
    with database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    found = cloud.check_database(conf)
    assert found.result is Result.PROBLEM
    assert found.remedy == "start the release that upgraded it, or restore the backup from before"


def test_an_upgraded_database_is_good(conf: cfg.ConfigOpts, state: Path) -> None:
    database = open_database(conf)
    migrate.upgrade(database.engine)
    database.close()
    assert cloud.check_database(conf).result is Result.OK


def test_a_database_that_does_not_answer_is_a_problem_without_its_password(conf: cfg.ConfigOpts) -> None:
    conf.set_override("connection", f"postgresql+psycopg2://nova:hidden@127.0.0.1:{conf.api.port}/nova", group="database")
    found = cloud.check_database(conf)
    assert found.result is Result.PROBLEM
    assert "hidden" not in found.reason


def test_no_cloud_is_a_note_that_says_how_to_start_one(conf: cfg.ConfigOpts, state: Path) -> None:
    found = cloud.check_api(conf)
    assert found.result is Result.NOTE
    assert "nova-lite up" in found.remedy


@pytest.mark.parametrize(("report", "reason"), [
    (ServiceReport(binary="nova-compute", agent="h1", trouble="libvirt has not answered for 7 s"), "h1: AUTO: libvirt has not answered for 7 s"),
    (ServiceReport(binary="nova-network", agent="h1", generation=1), "of an earlier release, which does not understand requests: nova-network on h1"),
])
def test_a_host_that_can_get_no_servers_is_a_problem_with_its_reason(
    conf: cfg.ConfigOpts, state: Path, monkeypatch: pytest.MonkeyPatch, report: ServiceReport, reason: str,
) -> None:
    monkeypatch.setattr(cloud, "answers", lambda _conf: True)
    database = open_database(conf)
    migrate.upgrade(database.engine)
    with database.writer() as session:
        service_reports.register(session, report, names=["h1"], now=utcnow())
    database.close()
    found = cloud.check_services(conf)
    assert found.result is Result.PROBLEM
    assert reason in found.reason
    assert found.remedy


def test_a_pid_that_another_program_has_got_is_nobody(state: Path) -> None:
    pid_file.write(str(state), os.getpid())
    assert pid_file.running(str(state)) is None


def test_a_check_that_breaks_is_a_problem_and_not_the_end(conf: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_conf: cfg.ConfigOpts) -> Finding:
        raise OSError("no such thing")

    monkeypatch.setattr(doctor, "CHECKS", (Check("broken", breaks), Check("good", lambda _conf: ok("yes"))))
    found = list(doctor.examine(conf))
    assert [(one.name, one.result) for one in found] == [("broken", Result.PROBLEM), ("good", Result.OK)]
    assert "no such thing" in found[0].reason


def test_the_table_has_a_line_per_check_and_the_remedy_below_its_reason() -> None:
    found = [ok("fine").named("a"), note("slow", "buy").named("bb"), problem("bad", "replace").named("c")]
    lines = doctor.table(found, is_coloured=False)
    assert [line.strip() for line in lines[:5]] == [
        "ok       a   fine", "note     bb  slow", "remedy: buy", "problem  c   bad", "remedy: replace"]
    assert lines[5].endswith(": 1 ok, 1 note, 1 problem")


def test_what_services_report_does_nothing_to_the_terminal() -> None:
    """Their names and reasons are written by hosts."""
    found = [problem("\x1b[2Jbad\nworse", "\x9b31m").named("a"), note("\u202eslow").named("b")]
    shown = doctor.table(found, is_coloured=False)
    assert shown[:3] == ["problem  a  \\x1b[2Jbad worse", "            remedy: \\x9b31m", "note     b  \\u202eslow"]


def test_the_api_is_looked_for_on_the_port_of_the_cloud_that_was_started_here(conf: cfg.ConfigOpts, state: Path) -> None:
    clouds = {"clouds": {"nova-lite": {"auth": {"auth_url": "http://127.0.0.1:4711/identity/v3"}}}}
    (state / "clouds.yaml").write_text(json.dumps(clouds))
    doctor.find_api(conf, port=None)
    assert conf.api.port == 4711


def test_the_command_prints_json_that_names_every_check(conf: cfg.ConfigOpts) -> None:
    command = [sys.executable, "-m", "nova_lite.cmd.lite.main", "doctor", "--state", conf.state_path,
               "--port", str(conf.api.port), "-f", "json"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = json.loads(done.stdout)
    assert [one["check"] for one in found] == [check.name for check in doctor.CHECKS]
    assert done.returncode == int(any(one["result"] == "problem" for one in found))
