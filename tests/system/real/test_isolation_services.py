# SPDX-License-Identifier: Apache-2.0
"""What a hostile guest leaves whole: floating addresses, DHCP, DNS and metadata, its own and other guests'."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from nova_lite.rpc.network import Floating
from tests.support.system import frames
from tests.support.system.frames import IPV4, UDP, ethernet
from tests.support.system.hostile_guest import ATTACKER, GATEWAY, OPEN, OWN, TUNNELS, cloud
from tests.support.system.network_lab import WORLD, Guest, Lab, needs_programs, port, server

pytestmark = needs_programs


def test_hosts_reach_guests_by_floating_addresses_though_guests_do_not_reach_hosts(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        plug = dataclasses.replace(ATTACKER, floating=(Floating(address="172.24.4.50", fixed_address="10.0.0.11"),))
        assert made.hosts[0].request("prepare", server(1, OWN, plug, groups=(OPEN,))) is None
        made.hosts[1].sh(f"ip route add 172.24.4.0/24 via {TUNNELS[0]}")
        made.hosts[0].listen(made.attacker.name, 22)
        for lab in made.hosts:
            lab.listen(None, 22)
            assert lab.sh("socat -T 2 -u TCP:172.24.4.50:22,connect-timeout=2 -").strip() == lab.sh(
                "ip -o route get 172.24.4.50").split(" src ")[1].split()[0]
        for address in TUNNELS:
            assert made.attacker.fetch(address, 22) == ""


def test_dhcp_dns_metadata_and_nat_work(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=1, is_secured=True) as made:
        made.hosts[0].listen("world", 8080)
        assert made.attacker.dhcp().startswith("10.0.0.11/24 router=10.0.0.1")
        assert made.attacker.metadata("who") == "server 1"
        assert "10.0.0.12" in made.attacker.run("busybox nslookup guest2.novalocal 10.0.0.1")
        assert made.attacker.fetch(WORLD, 8080) == "203.0.113.254"


DISCOVER, DECLINE, RELEASE = 1, 4, 7


def _client_id(mac: str) -> bytes:
    """RFC 2132 section 9.14."""
    return bytes((61, 7, 1)) + bytes.fromhex(mac.replace(":", ""))


def test_nobody_gives_away_the_lease_of_another_guest(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        victim = made.guests["p"]
        server_id, requested = (bytes((code, 4, 10, 0, 0, last)) for code, last in ((54, 1), (50, 12)))
        attacks = []
        for chaddr, client_id in ((victim.port.mac, b""), (ATTACKER.mac, _client_id(victim.port.mac))):
            for message in (RELEASE, DECLINE):
                body = frames.dhcp(message, chaddr=chaddr, client="10.0.0.12", options=server_id + requested + client_id)
                datagram = frames.udp(body, port=67, source_port=68)
                attacks.append([frames.ip("10.0.0.11", "10.0.0.1", UDP, datagram, number=1)])
                attacks.append(frames.fragments("10.0.0.11", "10.0.0.1", UDP, datagram, number=2))
        made.send([ethernet(GATEWAY, ATTACKER.mac, IPV4, packet) for attack in attacks for packet in attack])

        leases = next((Path(f"/proc/{made.hosts[0].pid}/root/run/nova-lite")).glob(f"*/{OWN.id}/leases"))
        assert made.attacker.dhcp().startswith("10.0.0.11/24"), "answered in turn, after what was sent before"
        assert {"10.0.0.11", "10.0.0.12"} <= set(leases.read_text().split())
        assert victim.dhcp().startswith("10.0.0.12/24")


def test_the_name_of_another_projects_server_stays_its_own(tmp_path: Path) -> None:
    with cloud(tmp_path, rp_filter=0, is_secured=True) as made:
        for number, address in ((6, "10.0.0.16"), (7, "10.0.0.7")):
            later = dataclasses.replace(port(number, OWN, address, groups=(OPEN.id,)), hostname="GUEST2")
            assert made.hosts[0].request("prepare", server(number, OWN, later, groups=(OPEN,))) is None
            assert made.hosts[0].plug(f"g{number}", later).dhcp()
            made.hosts[0].kill_worker()
            made.hosts[0].start_worker()

        found = made.attacker.run("busybox nslookup guest2.novalocal 10.0.0.1")
        assert re.findall(r"Address[^:]*: *(10\.0\.0\.[0-9]+)(?!:53|[0-9])", found.split("guest2", 1)[1]) == ["10.0.0.12"]
        assert "10.0.0.16" in made.attacker.run("busybox nslookup host-10-0-0-16.novalocal 10.0.0.1")


def test_dnsmasq_has_no_more_rights_than_it_needs(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    (pid,) = lab.dnsmasq_pids()
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    net_bind, net_admin, net_raw = 1 << 10, 1 << 12, 1 << 13  # linux/capability.h
    assert {int(uid) for uid in status["Uid"].split()} & {0} == set()
    assert {int(gid) for gid in status["Gid"].split()} & {0} == set()
    assert int(status["CapEff"], 16) & ~(net_bind | net_admin | net_raw) == 0
    assert int(status["CapPrm"], 16) & ~(net_bind | net_admin | net_raw) == 0
