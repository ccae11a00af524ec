# SPDX-License-Identifier: Apache-2.0
"""One worker serves a name: a second is refused while the first shows signs of life (fault 35 of docs/reliability.md)."""

from __future__ import annotations

import contextlib
import threading
from concurrent import futures

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.conductor.admissions import Admissions
from nova_lite.db.hosts.hosts import Service
from nova_lite.rpc.conductor import ServiceReport
from tests.support.flows.one_process import CTXT, OneProcess


def admit(cloud: OneProcess, worker_id: str, *, binary: str = "nova-compute", agent: str = "node") -> None:
    Admissions(cloud.services).admit_worker(CTXT, binary=binary, agent=agent, worker_id=worker_id)


def refuses(cloud: OneProcess, worker_id: str) -> bool:
    try:
        admit(cloud, worker_id)
    except errors.NameInUse:
        return True
    return False


def lives(cloud: OneProcess, *, seconds: int, binaries: tuple[str, ...] = ("nova-compute", "nova-network")) -> None:
    """Time passes, and these report now and then; nova-network keeps the observation without a gap."""
    for _ in range(seconds // 5):
        cloud.advance(seconds=5)
        for binary in binaries:
            cloud.heartbeats.report(CTXT, status=ServiceReport(binary=binary, agent="node"))
        cloud.heartbeats.flush()


@pytest.fixture
def down_s(cloud: OneProcess) -> int:
    """Longer than a worker may be silent."""
    return int(cloud.conf.service_down_time) + 10


def test_a_second_worker_is_refused_while_the_first_reports(cloud: OneProcess, down_s: int) -> None:
    admit(cloud, "first")
    lives(cloud, seconds=2 * down_s)
    with pytest.raises(errors.NameInUse, match="that is worker first, this is worker second"):
        admit(cloud, "second")
    admit(cloud, "second", agent="node2")
    admit(cloud, "second", binary="nova-network")


def test_a_worker_that_has_not_reported_yet_has_its_name(cloud: OneProcess, down_s: int) -> None:
    with cloud.database.writer() as session:
        session.execute(sa.delete(Service))
    admit(cloud, "first")
    assert refuses(cloud, "second")
    lives(cloud, seconds=down_s, binaries=("nova-network",))
    assert not refuses(cloud, "second")


def test_a_worker_is_admitted_again_after_a_restart(cloud: OneProcess) -> None:
    admit(cloud, "first")
    admit(cloud, "first")
    assert refuses(cloud, "second")


def test_a_host_that_was_installed_again_has_its_name_when_the_old_worker_is_down(cloud: OneProcess, down_s: int) -> None:
    admit(cloud, "first")
    lives(cloud, seconds=down_s)
    lives(cloud, seconds=down_s, binaries=("nova-network",))
    admit(cloud, "second")
    assert refuses(cloud, "first")


def test_after_a_silence_of_all_the_name_is_the_first_ones_until_it_could_report(cloud: OneProcess, down_s: int) -> None:
    admit(cloud, "first")
    lives(cloud, seconds=down_s)
    cloud.advance(seconds=10 * down_s)
    lives(cloud, seconds=5, binaries=("nova-network",))
    assert refuses(cloud, "second")
    lives(cloud, seconds=down_s, binaries=("nova-network",))
    assert not refuses(cloud, "second")


def test_an_operator_may_say_that_the_old_worker_is_down(cloud: OneProcess) -> None:
    admit(cloud, "first")
    lives(cloud, seconds=5)
    with cloud.database.writer() as session:
        session.execute(sa.update(Service).values(forced_down=True))
    assert not refuses(cloud, "second")


def test_any_worker_takes_the_name_of_one_of_release_0_1(cloud: OneProcess, down_s: int) -> None:
    lives(cloud, seconds=down_s)
    assert not refuses(cloud, "first")


def test_of_workers_that_begin_at_once_one_is_admitted(cloud: OneProcess) -> None:
    barrier = threading.Barrier(4)

    def start(number: int) -> bool:
        barrier.wait(10)
        with contextlib.suppress(errors.NameInUse, errors.Unavailable):
            admit(cloud, f"worker{number}")
            return True
        return False

    with futures.ThreadPoolExecutor(4) as machines:
        assert sum(machines.map(start, range(4))) == 1
