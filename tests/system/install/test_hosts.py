# SPDX-License-Identifier: Apache-2.0
"""The hosts that real tests stand on, and the machine's own libvirt, start, work, survive a crash and leave nothing behind."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.system.install.conftest import SWITCH
from tools.lib.services import Host, RabbitMQ, ServiceError, Switch
from tools.lib.services.sandbox import Sandbox

GUEST = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<cputune><shares>512</shares></cputune><os><type arch='x86_64' machine='pc'>hvm</type></os>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator><controller type='usb' model='none'/></devices>
</domain>"""


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
