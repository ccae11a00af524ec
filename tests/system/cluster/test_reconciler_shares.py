# SPDX-License-Identifier: Apache-2.0
"""Several conductors on real databases: each piece of the reconcilers' work is done by one, and taken over when that dies."""

from __future__ import annotations

import collections
import contextlib
import functools
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nova_lite.conductor import reconcilers
from nova_lite.conductor.engine.services import Services
from nova_lite.conductor.reconcilers import HostReconciler, Reconciler
from nova_lite.conductor.reconcilers.host_calls import HostCalls
from nova_lite.conductor.reconcilers.ownership import RENEWALS, Ownership
from nova_lite.db.base import Base
from nova_lite.db.engine import Database
from nova_lite.runtime.periodic import Periodic
from tests.support import databases
from tests.support.wait import wait_until

LEASE_S = 1.5
HOSTS = [f"host-{number}" for number in range(30)]


def purge(services: Any) -> None:
    services.done(services.name, "purge")


def audit(services: Any) -> None:
    services.done(services.name, "audit")


def call_hosts(services: Any, host_calls: HostCalls) -> None:
    host_calls.run({host: functools.partial(services.done, services.name, host) for host in HOSTS if host_calls.owns(host)})


PIECES = ("purge", "audit", *HOSTS)
RECONCILERS = (Reconciler(purge), Reconciler(audit), HostReconciler(call_hosts))


class Conductor:
    """As one process: its own connections, and its lease renewed by its own thread."""

    def __init__(self, name: str, url: str, done: Any) -> None:
        self.database = Database(url, pool_size=4)
        self.ownership = Ownership(self.database, owner=name, lease_s=LEASE_S)
        self.services = cast(Services, SimpleNamespace(name=name, done=done))
        self.host_calls = HostCalls(owns=self.ownership.owns, round_s=30)
        self.ownership.renew()
        self.renewal = Periodic(f"lease of {name}", self.ownership.renew, interval_s=LEASE_S / RENEWALS / 2)
        self.renewal.start()

    def reconcile(self) -> None:
        for reconciler in RECONCILERS:
            reconcilers.run(reconciler, self.services, self.host_calls)

    def owned(self) -> set[str]:
        return {host for host in HOSTS if self.ownership.owns(host)}

    def die(self) -> None:
        self.renewal.stop()
        self.database.close()


class Cluster:
    """Conductors with one database, and how often each of them did which piece of work."""

    def __init__(self, url: str) -> None:
        self.url, self.lock = url, threading.Lock()
        self.done: collections.Counter[tuple[str, str]] = collections.Counter()
        self.conductors: dict[str, Conductor] = {}

    def start(self, name: str) -> Conductor:
        self.conductors[name] = Conductor(name, self.url, self._note)
        return self.conductors[name]

    def _note(self, conductor: str, piece: str) -> None:
        with self.lock:
            self.done[conductor, piece] += 1

    def reconcile_at_once(self) -> dict[str, set[str]]:
        """All conductors reconcile at the same moment; what each did, if each piece was done once."""
        self.done.clear()
        start = threading.Barrier(len(self.conductors))

        def work(conductor: Conductor) -> None:
            start.wait()
            conductor.reconcile()

        threads = [threading.Thread(target=work, args=(conductor,)) for conductor in self.conductors.values()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(piece for _, piece in self.done.elements()) == sorted(PIECES)
        return {name: {piece for who, piece in self.done if who == name} for name in self.conductors}

    def wait_for_shares(self, *names: str) -> None:
        """Until these divide the hosts."""
        wait_until(lambda: all(self.conductors[name].owned() for name in names)
                   and set().union(*(self.conductors[name].owned() for name in names)) == set(HOSTS), f"shares of {names}")


@pytest.fixture(scope="module", params=databases.ALL_KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield url


@pytest.fixture
def cluster(url: str) -> Iterator[Cluster]:
    database = Database(url)
    Base.metadata.create_all(database.engine)
    made = Cluster(url)
    yield made
    for conductor in made.conductors.values():
        conductor.die()
    with contextlib.closing(database), database.engine.begin() as connection:
        connection.execute(Base.metadata.tables["conductor_leases"].delete())


def test_one_conductor_alone_does_everything_at_once(cluster: Cluster) -> None:
    cluster.start("a")
    assert cluster.reconcile_at_once() == {"a": set(PIECES)}


def test_three_conductors_at_once_do_each_piece_once_and_all_have_a_part(cluster: Cluster) -> None:
    for name in "abc":
        cluster.start(name)
    cluster.wait_for_shares("a", "b", "c")
    for _ in range(10):
        done = cluster.reconcile_at_once()
        assert all(done.values())


def test_while_a_conductor_comes_no_piece_has_two_owners(cluster: Cluster) -> None:
    first, second = cluster.start("a"), cluster.start("b")
    doubled: set[str] = set()

    def is_divided() -> bool:
        """Twice by the first: between two looks the host may have changed hands."""
        before, other, after = first.owned(), second.owned(), first.owned()
        doubled.update(before & other & after)
        return bool(other) and after | other == set(HOSTS)

    wait_until(is_divided, "two shares")
    assert doubled == set()


def test_the_part_of_a_conductor_that_dies_is_taken_over(cluster: Cluster) -> None:
    first, second = cluster.start("a"), cluster.start("b")
    cluster.wait_for_shares("a", "b")
    second.die()
    del cluster.conductors["b"]
    wait_until(lambda: first.owned() == set(HOSTS), "the takeover", seconds=20 * LEASE_S)
    assert cluster.reconcile_at_once() == {"a": set(PIECES)}


def test_two_that_start_at_the_same_moment_divide_the_work(cluster: Cluster) -> None:
    start = threading.Barrier(2)

    def begin(name: str) -> None:
        start.wait()
        cluster.start(name)

    threads = [threading.Thread(target=begin, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    cluster.wait_for_shares("a", "b")
    assert all(cluster.reconcile_at_once().values())
