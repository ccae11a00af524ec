# SPDX-License-Identifier: Apache-2.0
"""The command lines of nova-lite and of the daemons: help, examples and exit statuses."""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

import nova_lite
from nova_lite.cmd.lite.main import parser
from nova_lite.db import migrate
from nova_lite.db.engine import Database
from tests.support.system.forks import run
from tools.lib.services import free_port

[SUBCOMMANDS] = [action.choices for action in parser()._actions if isinstance(action, argparse._SubParsersAction)]
WITHOUT_LIBVIRT = "import sys; sys.modules['libvirt'] = None; from nova_lite.cmd.compute import main; main()"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_help_of_a_command_has_examples_that_parse_and_its_exit_statuses(name: str) -> None:
    text = SUBCOMMANDS[name].format_help()
    _, _, rest = text.partition("Examples:\n")
    examples, _, statuses = rest.partition("\n\nExit status:\n")
    assert examples
    for example in examples.splitlines():
        program, *arguments = shlex.split(example.partition(">")[0])
        assert program == "nova-lite"
        assert parser().parse_args(arguments).command == name
    assert [line.split()[0] for line in statuses.splitlines() if not line.startswith("     ")] == ["0", "1", "2"]


def test_every_argument_of_a_command_is_explained() -> None:
    assert [f"{name} {action.dest}" for name, command in SUBCOMMANDS.items() for action in command._actions if not action.help] == []


def test_the_version_is_that_of_the_package() -> None:
    assert run("nova-lite", "--version").stdout == f"nova_lite {nova_lite.__version__}\n"
    assert run("nova-conductor", "--version").stdout == f"nova_lite {nova_lite.__version__}\n"


def test_a_missing_nova_conf_is_status_2_and_one_line() -> None:
    process = run("nova-lite", "db", "sync", "--config-file", "/nowhere/nova.conf")
    assert process.returncode == 2
    [line] = process.stderr.splitlines()
    assert line.startswith("nova-lite: ")
    assert "/nowhere/nova.conf" in line


def test_a_database_that_does_not_answer_is_status_1_and_one_line(tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    config.write_text("[database]\nconnection = postgresql+psycopg2://nova:secret@127.0.0.1:1/nova\n")
    process = run("nova-lite", "db", "sync", "--state", str(tmp_path), "--config-file", str(config))
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert line.startswith("nova-lite: database: ")
    assert "secret" not in line


def test_a_state_directory_that_cannot_be_made_is_status_1_and_one_line() -> None:
    process = run("nova-lite", "db", "sync", "--state", "/dev/null/state")
    assert process.returncode == 1
    assert len(process.stderr.splitlines()) == 1
    assert "/dev/null/state" in process.stderr


def test_output_that_nobody_reads_on_is_no_traceback() -> None:
    pipeline = f"{shlex.quote(sys.executable)} -W ignore -m nova_lite.cmd.lite policy | head -n 1"
    process = subprocess.run(["/bin/sh", "-c", pipeline], capture_output=True, text=True, timeout=60, check=False)
    assert process.stdout.startswith("context_is_admin")
    assert process.stderr == ""


@pytest.mark.parametrize("name", ["nova-api", "nova-conductor", "nova-serialproxy"])
def test_a_daemon_with_an_invalid_nova_conf_ends_with_status_2_and_its_name(name: str, tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    config.write_text("[DEFAULT]\nreport_interval = often\n")
    process = run(name, "--config-file", str(config))
    assert process.returncode == 2
    [line] = process.stderr.splitlines()
    assert line.startswith(f"{name}: ")
    assert "report_interval" in line


def test_an_api_without_its_paste_file_ends_with_status_1_and_says_so_last(tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    config.write_text(f"[DEFAULT]\npaste_config = missing.ini\nstate_path = {tmp_path}\n[api]\nport = {free_port()}\n")
    process = run("nova-api", "--config-file", str(config))
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1].startswith("nova-api: paste file missing.ini ")


def test_a_paste_file_of_release_0_1_is_one_line_that_names_the_new_one_and_the_database_stays_as_it_is(tmp_path: Path) -> None:
    stale, config = tmp_path / "api-paste.ini", tmp_path / "nova.conf"
    stale.write_text("[app:api]\npaste.app_factory = nova_lite.api.wsgi.paste:versions\n")
    config.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[api]\nport = {free_port()}\n")
    processes = {"nova-api": run("nova-api", "--config-file", str(config))}
    processes["nova-lite"] = run("nova-lite", "up", "--fake", "--config-file", str(config))
    assert [process.returncode for process in processes.values()] == [1, 1]
    packaged = Path(nova_lite.__file__).parent / "etc" / "api-paste.ini"
    assert [process.stderr.splitlines()[-1] for process in processes.values()] == [
        f"{name}: paste file {stale} names nova_lite.api.wsgi.paste:versions, which this release does not have; "
        f"replace the file by {packaged}" for name in processes]
    assert not (tmp_path / "nova-lite.sqlite").exists()


def _make_database(state: Path, revision: str | None) -> None:
    """One of which nothing is there but its revision."""
    database = Database(f"sqlite:///{state}/nova-lite.sqlite")
    with database.engine.begin() as connection:
        if revision is not None:
            connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
            connection.execute(sa.text("INSERT INTO alembic_version VALUES (:it)"), {"it": revision})
    database.close()


def test_a_database_of_a_newer_release_is_status_1_and_one_line(tmp_path: Path) -> None:
    _make_database(tmp_path, "9999")
    process = run("nova-lite", "db", "sync", "--state", str(tmp_path))
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert line == (f"nova-lite: the database is at revision 9999, and this release knows {migrate.head()} at most: "
                    "start the release that upgraded it, or restore the backup from before")


def test_a_cloud_that_does_not_start_in_the_background_says_why(tmp_path: Path) -> None:
    _make_database(tmp_path, "9999")
    process = run("nova-lite", "up", "--fake", "--background", "--state", str(tmp_path), "--port", str(free_port()))
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert line.startswith("nova-lite: the cloud did not start; ")
    assert line.endswith(migrate.NEWER_REMEDY)


@pytest.mark.parametrize(("name", "revision"), [
    ("nova-api", "0008"), ("nova-conductor", "0008"), ("nova-novncproxy", "0008"), ("nova-scheduler", "0008"), ("nova-serialproxy", "0008"),
    ("nova-api", "9999"), ("nova-conductor", None)])
def test_a_daemon_on_the_database_of_another_release_says_last_what_to_do(name: str, revision: str | None, tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    _make_database(tmp_path, revision)
    config.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\ntransport_url = inprocess://\n[api]\nport = {free_port()}\n"
                      f"[vnc]\nnovncproxy_port = {free_port()}\n[serial_console]\nserialproxy_port = {free_port()}\n")
    process = run(name, "--config-file", str(config))
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    needed = f"and this release needs {migrate.head()}: run nova-lite db sync --config-file {config}"
    assert process.stderr.splitlines()[-1] == (
        f"{name}: the database is at revision 9999, and this release knows {migrate.head()} at most: {migrate.NEWER_REMEDY}"
        if revision == "9999" else f"{name}: the database is at revision {revision or 'none'}, {needed}")


def test_a_compute_worker_without_libvirts_package_ends_with_status_1_and_names_it(tmp_path: Path) -> None:
    config = tmp_path / "nova.conf"
    config.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n")
    process = subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT_LIBVIRT, "--config-file", str(config)],
                             capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == (
        "nova-compute: [compute] driver is libvirt, and the Python package libvirt-python is not installed: "
        "pip install 'nova_lite[libvirt]'")


def test_the_help_of_a_daemon_has_an_example_and_its_exit_statuses() -> None:
    text = " ".join(run("nova-conductor", "--help").stdout.split())
    assert "Run the workflows of servers and the reconcilers." in text
    assert "Example: nova-conductor --config-file /etc/nova/nova.conf." in text
    assert "Exit status: 0 " in text
