# SPDX-License-Identifier: Apache-2.0
"""tools/cluster makes a cloud of real hosts, whose guests reach each other as their groups say, and leaves nothing."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.network import names
from tests.support import boot_sector, guests
from tests.support.paths import ROOT
from tests.support.system.outside import outside_at
from tests.support.system.stock import Warm
from tests.support.system.traces import Traces
from tests.support.wait import wait_until
from tools.lib.cluster.cluster import Cluster
from tools.lib.cluster.cluster import find as find_cluster

UP_S = 400
# 45 s with two guests on two cores without KVM, several times that beside other work.
BOOT_S = 400
HEARD_S = 180
A, B = "10.20.0.11", "10.20.0.22"
# What `Cloud.inventory` is without servers and networks.
NOTHING = {"links": ["lo", "uplink0"], "namespaces": [], "guests": "", "filters": [], "instances": [], "networks": []}
# Says on the console what beyond the host's NAT answers: the outside, and the cloud's own address, which is closed to guests;
# and when the peer begins or ceases to answer.
USER_DATA = """#!/bin/sh
watch() {{
    was=
    while :; do
        ping=no http=no
        ping -c 1 -W 1 {peer} >/dev/null 2>&1 && ping=yes
        timeout 3 wget -q -O - http://{peer}/ 2>/dev/null | grep -q ok && http=yes
        [ "$ping$http" = "$was" ] || echo "PEER ping=$ping http=$http"
        was=$ping$http
        sleep 1
    done
}}
ping -c 1 -W 3 10.20.0.1 >/dev/null 2>&1 && echo GATEWAY-ANSWERS
timeout 5 wget -q -O - {outside} 2>/dev/null | grep -q versions && echo OUTSIDE-ANSWERS
timeout 3 wget -q -O - {api} 2>/dev/null | grep -q versions && echo CLOUD-ANSWERS
watch &
"""

pytestmark = pytest.mark.timeout(900)


def tool(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run tools/cluster."""
    command = [sys.executable, str(ROOT / "tools" / "cluster"), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=UP_S, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@dataclasses.dataclass(frozen=True)
class Cloud:
    """A running cluster, as its user and its operator see it."""

    state: Path
    cluster: Cluster
    warm: Warm

    def openstack(self, *arguments: str) -> Any:
        """What the stock client prints, as JSON where it is; empty text: it printed nothing."""
        environment = {"OS_CLIENT_CONFIG_FILE": str(self.cluster.control.clouds_yaml), "OS_CLOUD": "nova-lite"}
        done = self.warm.run("openstack", arguments, environment)
        assert done.code == 0, f"{arguments}: {done.err}"
        return json.loads(done.out) if done.out.startswith(("{", "[")) else done.out

    def make(self, *arguments: str) -> str:
        """The id of what the client made."""
        return str(self.openstack(*arguments, "-f", "json")["id"])

    def on(self, host: str, *command: str) -> str:
        """What a command prints that runs on the host."""
        return self.cluster.host(host).real.run(command).stdout

    def console(self, server: str) -> str:
        return str(self.openstack("console", "log", "show", server))

    def wait_for_line(self, server: str, pattern: str, *, seconds: float) -> re.Match[str]:
        """The last match on the server's console, once there is one that no other line of its first word follows."""
        return wait_until(lambda: list(re.finditer(pattern, self.console(server))), repr(pattern), seconds=seconds,
                          details=lambda: self.console(server))[-1]

    def wait_for_peer(self, server: str, *, ping: str, http: str, seconds: float) -> None:
        """Until the last that the server said of its peer is this."""
        wait_until(lambda: re.findall(r"PEER (ping=\S+ http=\S+)", self.console(server))[-1:] == [f"ping={ping} http={http}"],
                   f"ping={ping} http={http}", seconds=seconds, details=lambda: self.console(server))

    def inventory(self, host: str) -> dict[str, object]:
        """All that servers and networks could leave on a host; images may stay in its cache."""
        directory = self.cluster.host(host).directory / "state"
        elements = re.findall(r'elements = \{ "[^}]*', self.on(host, "nft", "list", "ruleset"))
        return {
            "links": sorted(line.split()[0].split("@")[0] for line in self.on(host, "ip", "-br", "link").splitlines()),
            "namespaces": self.on(host, "ip", "netns").split(),
            "guests": self.on(host, "virsh", "-q", "list", "--all").strip(),
            "filters": elements,
            "instances": sorted(path.name for path in (directory / "instances").glob("*") if path.name != "_base"),
            "networks": sorted(path.name for path in (directory / "network" / "networks").glob("*")),
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two servers of one network: `a` on h1 lets nobody in, `b` on h2 lets group a ping it and fetch from it."""

    network: str
    a: str
    b: str
    group_a: str
    group_b: str


@contextlib.contextmanager
def running(state: Path, *options: str) -> Iterator[Cloud]:
    """A cluster, and nothing of it afterwards."""
    try:
        tool("up", "--state", state, *options)
        cluster = find_cluster(state)
        assert cluster is not None
        with contextlib.closing(Warm()) as warm:
            yield Cloud(state, cluster, warm)
    finally:
        tool("down", "--state", state)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("cluster") / "state", "--hosts", "2") as made:
        yield made


@pytest.fixture(scope="module")
def guest_image(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image's id; its name is guest."""
    return cloud.make("image", "create", "--file", str(guests.guest_image(tmp_path_factory)), "--disk-format", "qcow2", "guest")


@pytest.fixture(scope="module")
def small_image(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of one for servers that need no operating system; its name is small."""
    return make_small_image(cloud, tmp_path_factory.mktemp("image"))


def make_small_image(cloud: Cloud, directory: Path) -> str:
    return cloud.make("image", "create", "--file", str(boot_sector.disk_file(directory)), "--disk-format", "raw", "small")


@pytest.fixture(scope="module")
def outside(cloud: Cloud) -> Iterator[str]:
    """The URL of a web server at an address of the machine that is not the message bus's."""
    with outside_at(str(ipaddress.ip_interface(cloud.cluster.switch.address).network[-3])) as url:
        yield url


@pytest.fixture(scope="module")
def pair(cloud: Cloud, guest_image: str, outside: str, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    network = cloud.make("network", "create", "net")
    cloud.make("subnet", "create", "--network", "net", "--subnet-range", "10.20.0.0/24", "subnet")
    group_a, group_b = (cloud.make("security", "group", "create", name) for name in ("a", "b"))
    for rule in (("--protocol", "icmp"), ("--protocol", "tcp", "--dst-port", "80")):
        cloud.make("security", "group", "rule", "create", *rule, "--remote-group", "a", "b")
    scripts = tmp_path_factory.mktemp("user-data")
    servers = []
    for name, own, peer, host in (("a", A, B, "h1"), ("b", B, A, "h2")):
        script = scripts / name
        script.write_text(USER_DATA.format(peer=peer, outside=outside, api=cloud.cluster.control.url))
        servers.append(cloud.make(
            "server", "create", "--image", "guest", "--flavor", "m1.nano", "--nic", f"net-id=net,v4-fixed-ip={own}",
            "--security-group", name, "--user-data", str(script), "--availability-zone", f"nova:{host}", name,
        ))  # fmt: skip
    for server in servers:
        cloud.wait_for_line(server, "READY", seconds=BOOT_S)
    return Pair(network=network, a=servers[0], b=servers[1], group_a=group_a, group_b=group_b)


def test_every_daemon_is_up(cloud: Cloud) -> None:
    services = cloud.openstack("compute", "service", "list", "-f", "json")
    assert {(row["Binary"], row["Host"], row["State"], row["Status"]) for row in services} == {
        *((name, "control", "up", "enabled") for name in ("nova-conductor", "nova-scheduler", "nova-volume")),
        *((name, host, "up", "enabled") for name in ("nova-compute", "nova-network") for host in ("h1", "h2")),
    }


def test_status_checks_every_service(cloud: Cloud) -> None:
    said = tool("status", "--state", cloud.state).stdout
    assert "DOWN" not in said
    assert len(said.splitlines()) == 4 + 5 + 2 * 3


def test_each_hypervisor_says_why_guests_run_as_they_do(cloud: Cloud) -> None:
    listed = cloud.openstack("hypervisor", "list", "-f", "json")
    assert {(row["Hypervisor Hostname"], row["State"]) for row in listed} == {("h1", "up"), ("h2", "up")}
    assert all(re.search(r"(qemu|kvm): \S+", str(cloud.openstack("hypervisor", "show", host, "-f", "json")))
               for host in ("h1", "h2"))


def test_a_host_knows_nothing_of_the_database(cloud: Cloud) -> None:
    host, control = cloud.cluster.host("h1"), cloud.cluster.control
    written = host.nova_conf.read_text()
    assert "database" not in written
    assert "connection" not in written
    assert not [secret for secret in (control.database.password, control.broker.password, control.password)
                if secret in written]


def test_a_host_cannot_see_the_control_plane_or_reach_its_database(cloud: Cloud) -> None:
    control = cloud.cluster.control
    assert cloud.on("h1", "ls", "-A", str(control.state_dir)) == ""
    probe = "import socket, sys; sys.exit(socket.socket().connect_ex((sys.argv[1], int(sys.argv[2]))))"
    request = [sys.executable, "-c", probe, cloud.cluster.switch.ip]
    real = cloud.cluster.host("h1").real
    assert real.run([*request, str(control.broker.port)], check=False).returncode == 0
    assert real.run([*request, str(control.database.port)], check=False).returncode != 0


def test_a_command_runs_on_a_host(cloud: Cloud) -> None:
    assert tool("shell", "--state", cloud.state, "h2", "uname", "-n").stdout == "h2\n"


def test_up_refuses_what_the_cluster_is_not(cloud: Cloud) -> None:
    fewer = tool("up", "--state", cloud.state, "--hosts", "1", check=False)
    other = tool("up", "--state", cloud.state, "--db", "mariadb", check=False)
    foreign = tool("up", "--state", cloud.state / "h1", check=False)
    assert (fewer.returncode, other.returncode, foreign.returncode) == (2, 2, 2)
    assert "cannot lose any" in fewer.stderr
    assert "has postgres" in other.stderr
    assert "is not empty" in foreign.stderr


def test_each_server_is_on_the_requested_host(cloud: Cloud, pair: Pair) -> None:
    listed = cloud.openstack("server", "list", "--long", "-f", "json")
    assert {(row["ID"], row["Host"], row["Status"]) for row in listed} == {
        (pair.a, "h1", "ACTIVE"), (pair.b, "h2", "ACTIVE")}  # fmt: skip


@pytest.mark.parametrize(("name", "host", "address"), [("a", "h1", A), ("b", "h2", B)])
def test_dhcp_and_metadata_come_from_the_own_host(
    cloud: Cloud, pair: Pair, name: str, host: str, address: str
) -> None:
    server = getattr(pair, name)
    said = cloud.console(server)
    assert re.search(rf"DHCP eth0 {re.escape(address)}/24 gw=10.20.0.1 .*mtu=1450", said)
    assert re.search(rf"METADATA source=http hostname={name} uuid={server}", said)
    state = cloud.cluster.host(host).directory / "state" / "network"
    leases = Path("/run/nova-lite") / names.table_name(host=host, directory=str(state.resolve())) / pair.network / "leases"
    assert [line.split()[2] for line in cloud.on(host, "cat", str(leases)).splitlines()] == [address]


@pytest.mark.parametrize("name", ["a", "b"])
def test_each_host_is_its_guests_gateway_to_the_outside(cloud: Cloud, pair: Pair, name: str) -> None:
    said = cloud.console(getattr(pair, name))
    assert "GATEWAY-ANSWERS" in said
    assert "OUTSIDE-ANSWERS" in said
    assert "CLOUD-ANSWERS" not in said


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_the_gateway_is_not_seen_by_other_hosts(cloud: Cloud, pair: Pair, host: str) -> None:
    seen = cloud.on(host, "bridge", "fdb", "show", "dev", names.overlay_name(pair.network))
    assert names.gateway_mac(pair.network) not in seen
    peer = {"h1": "h2", "h2": "h1"}[host]
    assert f"00:00:00:00:00:00 dst {cloud.cluster.host(peer).settings.address} self permanent" in seen


def test_each_host_has_entries_of_the_ports_on_the_other_and_floods_no_unknown_macs(cloud: Cloud, pair: Pair) -> None:
    macs = {host: cloud.openstack("port", "list", "--server", server, "-f", "json")[0]["MAC Address"]
            for host, server in (("h1", pair.a), ("h2", pair.b))}
    for host, peer in (("h1", "h2"), ("h2", "h1")):
        device = names.overlay_name(pair.network)
        seen = cloud.on(host, "bridge", "fdb", "show", "dev", device)
        assert f"{macs[peer]} dst {cloud.cluster.host(peer).settings.address} self permanent" in seen
        assert macs[host] not in seen
        assert "learning off flood off" in cloud.on(host, "bridge", "-d", "link", "show", "dev", device)


def test_guests_on_two_hosts_reach_each_other(cloud: Cloud, pair: Pair) -> None:
    cloud.wait_for_peer(pair.a, ping="yes", http="yes", seconds=HEARD_S)


def test_a_group_lets_nobody_in_by_default_also_between_hosts(cloud: Cloud, pair: Pair) -> None:
    cloud.wait_for_peer(pair.a, ping="yes", http="yes", seconds=HEARD_S)     # so both are up and the wire is good
    cloud.wait_for_peer(pair.b, ping="no", http="no", seconds=HEARD_S)
    assert "PEER ping=yes" not in cloud.console(pair.b)


def test_a_rule_counts_at_once_on_running_guests_of_another_host(cloud: Cloud, pair: Pair) -> None:
    rule = cloud.make("security", "group", "rule", "create", "--protocol", "icmp", "--remote-group", "b", "a")
    cloud.wait_for_peer(pair.b, ping="yes", http="no", seconds=HEARD_S)
    cloud.openstack("security", "group", "rule", "delete", rule)
    cloud.wait_for_peer(pair.b, ping="no", http="no", seconds=HEARD_S)


def test_up_brings_back_hands_that_died_and_guests_do_not_notice(cloud: Cloud, pair: Pair) -> None:
    hands = cloud.cluster.host("h2").processes
    before = {name: process.pid for name, process in cloud.cluster.host("h1").processes.items()}
    for process in hands.values():
        process.crash()
    tool("up", "--state", cloud.state)
    assert all(process.is_alive() for process in hands.values())
    assert {name: process.pid for name, process in cloud.cluster.host("h1").processes.items()} == before
    assert re.findall(r"PEER (ping=\S+ http=\S+)", cloud.console(pair.a))[-1] == "ping=yes http=yes"


def test_deleted_servers_and_networks_leave_nothing_on_hosts(cloud: Cloud, pair: Pair) -> None:
    cloud.openstack("server", "delete", "--wait", pair.a, pair.b)
    cloud.openstack("network", "delete", pair.network)
    for host in ("h1", "h2"):
        wait(functools.partial(cloud.inventory, host), NOTHING)


def test_what_was_deleted_while_its_host_was_down_goes_when_the_host_is_back(cloud: Cloud, small_image: str) -> None:
    network = cloud.make("network", "create", "lost")
    cloud.make("subnet", "create", "--network", "lost", "--subnet-range", "10.22.0.0/24", "lost")
    server = cloud.make("server", "create", "--image", "small", "--flavor", "m1.nano", "--network", "lost", "--wait",
                        "--availability-zone", "nova:h2", "lost")  # fmt: skip
    host = cloud.cluster.host("h2")
    host.real.stop()
    wait(lambda: {host for _, host in cloud.cluster.reported()} & {"h2"}, set())
    cloud.openstack("server", "delete", "--wait", server)
    cloud.openstack("network", "delete", network)
    assert [path.name for path in (host.directory / "state" / "instances").glob(server)] == [server]
    tool("up", "--state", cloud.state)
    wait(functools.partial(cloud.inventory, "h2"), NOTHING, seconds=90)


def test_down_leaves_nothing_not_even_of_a_running_guest(cloud: Cloud, small_image: str) -> None:
    cloud.make("network", "create", "last")
    cloud.make("subnet", "create", "--network", "last", "--subnet-range", "10.21.0.0/24", "last")
    cloud.make("server", "create", "--image", "small", "--flavor", "m1.nano", "--network", "last", "--wait", "last")
    traces = Traces(cloud.cluster, cloud.state)
    assert traces.left() != []
    tool("down", "--state", cloud.state)
    wait(traces.left, [])
    assert not cloud.state.exists()
    assert "nothing to do" in tool("down", "--state", cloud.state).stdout


def test_the_same_daemons_work_with_mariadb(tmp_path: Path) -> None:
    with running(tmp_path / "state", "--db", "mariadb", "--hosts", "1") as cloud:
        assert "mariadb " in tool("status", "--state", cloud.state).stdout
        make_small_image(cloud, tmp_path)
        network = cloud.make("network", "create", "net")
        cloud.make("subnet", "create", "--network", "net", "--subnet-range", "10.20.0.0/24", "subnet")
        server = cloud.make("server", "create", "--image", "small", "--flavor", "m1.nano", "--network", "net", "--wait", "s")
        shown = cloud.openstack("server", "show", server, "-f", "json")
        assert (shown["status"], shown["OS-EXT-SRV-ATTR:host"]) == ("ACTIVE", "h1")
        found = cloud.inventory("h1")
        assert re.fullmatch(r"\d+ +instance-\S+ +running", str(found["guests"]))
        assert (found["instances"], found["networks"]) == ([server], [f"{network}.json"])
        assert found["namespaces"] != []
        assert found["filters"] != []
        cloud.openstack("server", "delete", "--wait", server)
        assert cloud.openstack("server", "list", "-f", "json") == []
        cloud.openstack("network", "delete", network)
        wait(functools.partial(cloud.inventory, "h1"), NOTHING)


def wait(read: Callable[[], object], expected: object, *, seconds: float = 60) -> None:
    """Until what is read is as expected."""
    wait_until(lambda: read() == expected, str(expected), seconds=seconds, details=lambda: str(read()))
