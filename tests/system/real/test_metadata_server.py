# SPDX-License-Identifier: Apache-2.0
"""The metadata server of a host on a real kernel: hostile guests, its rights, and its end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.system.network_lab import NET, Guest, Lab, needs_programs, port, server, uuid
from tests.support.wait import wait_until

pytestmark = needs_programs
_HOLD = """
import select, socket
held = []
for _ in range(120):
    one = socket.socket()
    one.settimeout(3)
    one.connect(("169.254.169.254", 80))
    one.send(b"GET / HTTP/1.1\\r\\nHost: a" if len(held) % 2 else b"")
    held.append(one)
print("held", flush=True)
select.select([], [], [])
"""
_URL = "http://169.254.169.254/openstack/latest"


def hold_connections(lab: Lab, guest: Guest) -> None:
    """Let the guest open 120 connections, of which half are silent and half stop within the head."""
    holder = lab.spawn("ip", "netns", "exec", guest.name, sys.executable, "-c", _HOLD)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"


def status_of(pid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())


def test_silent_connections_of_a_guest_keep_nobody_from_the_metadata(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    hold_connections(lab, pair[0])

    assert [guest.metadata("who") for guest in (pair[1], pair[1], pair[0])] == ["server 2", "server 2", "server 1"]


def test_what_reads_the_requests_of_guests_has_no_rights(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    assert pair[0].metadata("who") == "server 1"
    (pid,) = lab.metadata_pids()
    status = status_of(pid)
    assert {int(number) for field in ("Uid", "Gid") for number in status[field].split()} & {0} == set()
    assert [int(status[field], 16) for field in ("CapEff", "CapPrm", "CapInh", "CapAmb")] == [0, 0, 0, 0]
    assert (status["Groups"].strip(), status["NoNewPrivs"]) == ("", "1")
    assert lab.sh(f"nsenter --net=/proc/{pid}/ns/net ip -br link").split()[:2] == ["lo", "DOWN"]


def test_a_guests_password_reaches_the_conductor_and_its_refusal_the_guest(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    posted = pair[0].run(f"curl -s -m 3 -d s3cret {_URL}/password")

    assert posted == f"server {uuid(1, 'b')} posted s3cret\n"


@pytest.mark.parametrize("arguments", ["-H Transfer-Encoding:chunked -d s3cret", "-H Expect: -d @/proc/self/environ -H Content-Length:99999999"])
def test_what_a_guest_would_send_slowly_or_without_end_is_refused_unread(lab: Lab, pair: tuple[Guest, Guest], arguments: str) -> None:
    assert pair[0].run(f"curl -s -o /dev/null -m 3 -w %{{http_code}} {arguments} {_URL}/password", check=False) == "413"


def test_a_killed_metadata_server_is_started_again(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    assert pair[0].metadata("who") == "server 1"
    (pid,) = lab.metadata_pids()

    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: pid not in lab.metadata_pids() and lab.metadata_pids(), "another metadata server")
    assert [guest.metadata("who") for guest in pair] == ["server 1", "server 2"]


def test_the_metadata_server_ends_with_its_worker_and_a_hung_one_is_replaced(lab: Lab, pair: tuple[Guest, Guest]) -> None:
    (pid,) = lab.metadata_pids()
    lab.kill_worker()
    wait_until(lambda: not lab.metadata_pids(), "the end of the metadata server")
    lab.start_worker()
    (hung,) = lab.metadata_pids()
    os.kill(hung, signal.SIGSTOP)
    lab.kill_worker()
    lab.start_worker()

    assert [guest.metadata("who") for guest in pair] == ["server 1", "server 2"]
    assert {pid, hung} & set(lab.metadata_pids()) == set()


def test_nothing_of_the_metadata_server_is_left_when_all_is_removed(lab: Lab) -> None:
    lab.request("prepare", server(1, NET, port(1, NET, "10.0.0.11")))
    assert lab.sh("ls /run/nova-lite/*/metadata.pid")

    lab.request("remove_all")

    assert lab.metadata_pids() == []
    assert lab.sh("find /run/nova-lite -mindepth 1") == ""
