# SPDX-License-Identifier: Apache-2.0
"""The parts that all real tests stand on start, work, survive a crash and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import amqp  # type: ignore[import-untyped]
import kombu.connection
import kombu.entity
import pytest
import sqlalchemy

from tests.support.paths import ROOT
from tests.support.wait import wait_until
from tools.lib.services import Host, MariaDB, Postgres, Process, RabbitMQ, ServiceError, Switch, free_port
from tools.lib.services.libvirtd import fix_kvm_device
from tools.lib.services.sandbox import Sandbox

Connection: Any = kombu.connection.Connection  # kombu is not typed
Queue: Any = kombu.entity.Queue
SWITCH = "nlt" + str(os.getpid() % 10000)
GUEST = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<cputune><shares>512</shares></cputune><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/></devices>
</domain>"""


def leftovers(state: Path) -> list[str]:
    """Return what still points into `state`: processes, mounts in any namespace, devices, cgroups."""
    needle = str(state)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if needle in (process / "cmdline").read_text(errors="replace"):
                found.append(f"process {process.name}: {(process / 'cmdline').read_text(errors='replace')}")
            if needle in (process / "mountinfo").read_text():
                found.append(f"mount seen by process {process.name}")
            for handle in (process / "fd").iterdir():
                if str(handle.readlink()).startswith(needle):
                    found.append(f"open file of process {process.name}")
    found += [
        f"device {device.name}"
        for device in Path("/sys/class/net").iterdir()
        if device.name.startswith(SWITCH)
    ]
    # os.walk, not a glob: guests of other tests come and go meanwhile, and their cgroups with them
    for parent, children, _files in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {parent}/{child}" for child in children if SWITCH in child]
    return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A directory to which, after the test, nothing on the machine refers any more."""
    yield tmp_path
    # Process 1 reaps orphans every 2 s.
    wait_until(lambda: leftovers(tmp_path) == [], "nothing to be left", details=lambda: str(leftovers(tmp_path)))


@pytest.fixture
def switch() -> Iterator[Switch]:
    """A switch of this test run's own."""
    with Switch(SWITCH, address="10.199.213.254/24") as made:
        yield made


def select_one(url: str) -> int:
    """Query a database by SQLAlchemy, as the services do."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(sqlalchemy.text("SELECT 1")).scalar_one())
    finally:
        engine.dispose()


def write_row(url: str) -> None:
    """Commit one row."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE kept (word VARCHAR(20))"))
            connection.execute(sqlalchemy.text("INSERT INTO kept VALUES ('snø')"))
    finally:
        engine.dispose()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_starts_answers_and_stops(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database:
        assert select_one(database.create_database("nova")) == 1
    assert not database.is_ready()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_keeps_committed_rows_over_a_crash(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database:
        url = database.create_database("nova")
        write_row(url)
        database.kill9()
        assert not database.is_ready()
        database.start()
        engine = sqlalchemy.create_engine(url)
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.text("SELECT word FROM kept")).scalars().all() == ["snø"]
        engine.dispose()


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_database_refuses_a_wrong_password(kind: type[Postgres | MariaDB], state: Path) -> None:
    with kind(state / "database") as database, pytest.raises(sqlalchemy.exc.OperationalError):
        select_one(database.create_database("nova").replace(database.password, "wrong"))


@pytest.mark.parametrize("kind", [Postgres, MariaDB])
def test_a_dropped_database_is_gone_and_can_be_made_again(
    kind: type[Postgres | MariaDB], state: Path
) -> None:
    with kind(state / "database") as database:
        write_row(database.create_database("nova"))
        database.drop_database("nova")
        write_row(database.create_database("nova"))


def test_a_database_name_that_needs_quoting_is_refused(state: Path) -> None:
    database = Postgres(state / "database")
    with pytest.raises(ServiceError, match="not a database name"):
        database.create_database("x; DROP")


def test_a_part_that_cannot_listen_says_so_with_its_log_and_stops(state: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as taken:
        database = Postgres(state / "database", port=taken.getsockname()[1])
        with pytest.raises(ServiceError, match="Address already in use"):
            database.start()


def test_a_part_is_found_again_by_its_directory(state: Path) -> None:
    with Postgres(state / "database") as first:
        again = Postgres(state / "database")
        assert again.url() == first.url()
        assert again.is_ready()
        again.stop()
        assert not first.is_ready()


def test_purge_removes_the_directory(state: Path) -> None:
    database = Postgres(state / "database")
    database.start()
    database.purge()
    assert not (state / "database").exists()


def test_settings_with_passwords_are_private(state: Path) -> None:
    RabbitMQ(state / "broker")
    assert (state / "broker" / "settings.json").stat().st_mode & 0o777 == 0o600


def send(url: str, *, body: str, arguments: dict[str, str] | None = None) -> None:
    """Put one persistent message into queue `kept` of the broker."""
    with Connection(url) as connection:
        queue = connection.SimpleQueue(
            Queue("kept", durable=True, queue_arguments=arguments, routing_key="kept"),
            serializer="json",
        )
        queue.put(body, delivery_mode=2)
        queue.close()


def receive(url: str, *, arguments: dict[str, str] | None = None) -> object:
    """Take one message from queue `kept`."""
    with Connection(url) as connection:
        queue = connection.SimpleQueue(
            Queue("kept", durable=True, queue_arguments=arguments, routing_key="kept"),
            serializer="json",
        )
        message = queue.get(timeout=20)
        message.ack()
        queue.close()
        return message.payload


def test_the_broker_keeps_quorum_messages_over_a_crash_and_has_separate_vhosts(state: Path) -> None:
    quorum = {"x-queue-type": "quorum"}
    with RabbitMQ(state / "broker") as broker:
        send(broker.amqp_url(), body="still here", arguments=quorum)
        time.sleep(2)  # a queue as young as a second does not survive, see RabbitMQ.kill9
        broker.kill9()
        assert not broker.is_ready()
        broker.start()
        assert receive(broker.amqp_url(), arguments=quorum) == "still here"

        assert broker.create_vhost("other") == broker.url + "other"
        send(broker.amqp_url("other"), body="classic")
        assert receive(broker.amqp_url("other")) == "classic"

        wrong = broker.amqp_url().replace(f"nova:{broker.password}", "guest:guest")
        with pytest.raises(amqp.exceptions.AccessRefused):
            Connection(wrong).connect()
    assert not broker.is_ready()


def private_run(state: Path) -> Callable[..., str]:
    """Return a way to run commands that see an own /run, so that the machine's libvirt is out of the way."""
    (state / "run").mkdir()
    sandbox = Sandbox(binds=((str(state / "run"), "/run"),))

    def run(*argv: str) -> str:
        done = subprocess.run(
            sandbox.command(argv), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_libvirt_of_the_machine_is_started_once_left_alone_and_removed_with_its_guests(state: Path) -> None:
    run = private_run(state)
    parts = [sys.executable, "-m", "tools.lib.services"]
    virsh = ["virsh", "-q", "-c", "qemu:///system"]
    ours, second = str(state / "ours"), str(state / "second")
    (state / "guest.xml").write_text(GUEST.format(name=f"{SWITCH}-m"))

    try:
        assert json.loads(run(*parts, "up", "libvirtd", "--state", ours)) == {"libvirtd": "qemu:///system"}
        run(*virsh, "create", str(state / "guest.xml"))
        run(*parts, "up", "libvirtd", "--state", second)
        run(*parts, "down", "--purge", "--state", second)
        assert f"{SWITCH}-m" in run(*virsh, "list")

        run(*parts, "down", "--state", ours)
        run(*parts, "up", "libvirtd", "--state", ours)
        assert f"{SWITCH}-m" in run(*virsh, "list")  # the guest went on running and was found again
    finally:
        run(*parts, "down", "--purge", "--state", ours)
    assert not (state / "ours" / "libvirtd").exists()
    assert not (state / "run" / "libvirt").exists()


def test_two_hosts_have_their_own_libvirt_reach_each_other_and_leave_nothing(
    state: Path, switch: Switch
) -> None:
    names = {"c1": "10.199.213.1", "c2": "10.199.213.2"}
    first, second = (
        Host(
            name, state_dir=state / name, tunnel_ip=ip, switch=switch, hosts=names, private=("/var/lib/nova",)
        )
        for name, ip in names.items()
    )
    (state / "guest.xml").write_text(GUEST.format(name=f"{SWITCH}-g"))
    virsh = ["virsh", "-q", "-c", "qemu:///system"]
    with contextlib.ExitStack() as stack:
        for host in (first, second):
            stack.callback(host.down)
            host.up()

        first.run([*virsh, "create", str(state / "guest.xml")])
        assert f"{SWITCH}-g" in first.run([*virsh, "list"]).stdout
        assert second.run([*virsh, "list"]).stdout.strip() == ""
        assert first.run(["virsh", "-q", "-c", second.migration_uri, "hostname"]).stdout.strip() == "c2"

        for place in ("c2", second.tunnel_ip, switch.ip):
            first.run(["ping", "-c", "1", "-W", "2", place])
        second.run(["ping", "-c", "1", "-W", "2", "c1"])

        first.run(["touch", "/var/lib/nova/mine"])
        assert second.run(["ls", "/var/lib/nova"]).stdout == ""
        assert first.run(["hostname"]).stdout.strip() == "c1"
        assert first.run(["pwd"]).stdout.strip() == str(Path.cwd())
        assert set(first.run(["ls", "/sys/class/net"]).stdout.split()) == {"lo", "uplink0"}

        # network namespaces made inside, and what runs in them, go with the host
        first.run(["ip", "netns", "add", "router"])
        first.daemon("deep").start(first.command(["ip", "netns", "exec", "router", "sleep", "1000"]))
        assert second.run(["ip", "netns", "list"]).stdout == ""
    for host in (first, second):
        assert not host.state_dir.exists()
        assert host.processes() == []


@pytest.mark.timed
def test_a_guest_survives_a_crash_of_its_hosts_libvirtd_and_is_destroyed_fast(
    state: Path, switch: Switch
) -> None:
    host = Host("c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch)
    (state / "guest.xml").write_text(GUEST.format(name=f"{SWITCH}-g"))
    virsh = ["virsh", "-q", "-c", "qemu:///system"]
    try:
        host.up()
        host.run([*virsh, "create", str(state / "guest.xml")])
        host.kill9()
        assert not host.is_ready()
        host.start()
        assert f"{SWITCH}-g" in host.run([*virsh, "list"]).stdout
        begun = time.monotonic()
        host.run([*virsh, "destroy", f"{SWITCH}-g"])
        assert time.monotonic() - begun < 1.5  # 0.23 s with the sub-reaper, 2.0 s without
    finally:
        host.down()


def test_a_stopped_host_boots_again_with_its_directories(state: Path, switch: Switch) -> None:
    host = Host(
        "c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch, private=("/var/lib/nova",)
    )
    try:
        host.up()
        host.run(["touch", "/var/lib/nova/kept"])
        host.stop()
        assert not host.is_ready()
        again = Host(
            "c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch, private=("/var/lib/nova",)
        )
        again.up()
        assert again.run(["ls", "/var/lib/nova"]).stdout.split() == ["kept"]
        again.run(["ping", "-c", "1", "-W", "2", switch.ip])
    finally:
        host.down()


def test_a_host_is_plugged_in_again_when_its_switch_was_remade(state: Path, switch: Switch) -> None:
    host = Host("c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch)
    try:
        host.up()
        switch.down()
        switch.up()
        host.up()
        host.run(["ping", "-c", "1", "-W", "2", switch.ip])
    finally:
        host.down()


def test_a_host_takes_its_wire_from_one_that_a_killed_run_left(state: Path, switch: Switch) -> None:
    """Else what listens on its address in it says "Cannot assign requested address"."""
    left = Host("c1", state_dir=state / "left", tunnel_ip="10.199.213.1", switch=switch)
    host = Host("c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch)
    try:
        left.up()
        host.up()
        host.run(["ping", "-c", "1", "-W", "2", "-I", "10.199.213.1", switch.ip])
    finally:
        host.down()
        left.down()


def test_a_host_whose_directory_it_could_not_see_itself_is_refused(switch: Switch) -> None:
    with pytest.raises(ServiceError, match="inside /run"):
        Host("c1", state_dir=Path("/run/c1"), tunnel_ip="10.199.213.1", switch=switch)


def test_hosts_reach_the_broker_on_the_machines_end_of_the_switch(state: Path, switch: Switch) -> None:
    host = Host("c1", state_dir=state / "c1", tunnel_ip="10.199.213.1", switch=switch)
    program = "import kombu, sys; kombu.Connection(sys.argv[1]).connect()"
    try:
        host.up()
        with RabbitMQ(state / "broker", address=switch.ip) as broker:
            host.run([sys.executable, "-c", program, broker.amqp_url()])
    finally:
        host.down()


def test_a_process_is_ended_by_a_caller_with_more_open_files_than_select_takes(state: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    sleeper = Process("sleeper", state)
    with contextlib.ExitStack() as held:
        for _ in range(1100):
            held.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        sleeper.start(["sleep", "1000"])
        sleeper.end()
    assert not sleeper.is_alive()


def test_a_process_that_ignores_sigterm_is_killed_at_the_deadline(state: Path) -> None:
    stubborn = Process("stubborn", state)
    stubborn.start(
        [sys.executable, "-c", "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(1000)",
         str(state / "ignores")]
    )
    wait_until((state / "ignores").exists, "the process to ignore SIGTERM")
    stubborn.end(deadline_s=0.5)
    assert not stubborn.is_alive()


def test_a_record_of_a_dead_process_never_points_at_a_later_one_with_its_pid(state: Path) -> None:
    process = Process("gone", state)
    (state / "gone.process").write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert not process.is_alive()
    process.end()


def test_the_kvm_device_gets_group_and_mode_once(tmp_path: Path) -> None:
    device = tmp_path / "kvm"
    device.touch(mode=0o600)
    assert fix_kvm_device(device)
    assert device.stat().st_mode & 0o777 == 0o660
    assert not fix_kvm_device(device)
