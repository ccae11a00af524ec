# SPDX-License-Identifier: Apache-2.0
"""Conductors divide the reconcilers' work by their leases: who comes, who dies, who was away, and clocks that are set."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from nova_lite.conductor.reconcilers.ownership import Ownership
from nova_lite.db.base import utcnow
from nova_lite.db.hosts.conductor_leases import ConductorLease
from tests.support import databases

LEASE_S = 9.0
SUBJECTS = [f"host-{number}" for number in range(60)]


class Conductors:
    """Conductors with one database, whose clock and theirs stand still until a test moves them."""

    def __init__(self, directory: Path) -> None:
        self.database = databases.fresh(directory)
        self.seconds, self._began, self.step_s = 0.0, utcnow(), 0.0
        self.database.clock = lambda: self._began + datetime.timedelta(seconds=self.seconds + self.step_s)
        self.gained: list[str] = []
        self.statements: list[str] = []
        sa.event.listen(self.database.engine, "before_cursor_execute", lambda *event: self.statements.append(event[2]))

    def start(self, name: str) -> Ownership:
        made = Ownership(self.database, owner=name, lease_s=LEASE_S, gained=lambda: self.gained.append(name), monotonic=lambda: self.seconds)
        made.renew()
        return made

    def advance(self, seconds: float, *alive: Ownership) -> None:
        """So much time passes, in which these renew their leases as they should."""
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds = min(end, self.seconds + LEASE_S / 3)
            for conductor in alive:
                conductor.renew()


@pytest.fixture
def conductors(tmp_path: Path) -> Conductors:
    return Conductors(tmp_path)


def owned(conductor: Ownership) -> set[str]:
    return {subject for subject in SUBJECTS if conductor.owns(subject)}


def test_one_alone_does_everything_at_once(conductors: Conductors) -> None:
    alone = conductors.start("a")
    assert owned(alone) == set(SUBJECTS)
    assert conductors.gained == ["a"]
    conductors.advance(100, alone)
    assert owned(alone) == set(SUBJECTS)


def test_one_that_comes_takes_its_part_when_the_others_know_it(conductors: Conductors) -> None:
    first = conductors.start("a")
    second = conductors.start("b")
    assert (owned(first), owned(second)) == (set(SUBJECTS), set())
    conductors.advance(LEASE_S - 0.1, first, second)
    assert (owned(first), owned(second)) == (set(SUBJECTS), set())
    conductors.advance(0.2)
    assert owned(first) | owned(second) == set(SUBJECTS)
    assert not owned(first) & owned(second)
    assert min(len(owned(first)), len(owned(second))) > len(SUBJECTS) / 4


def test_the_part_of_one_that_dies_is_taken_over_when_its_lease_ends(conductors: Conductors) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    own = owned(first)
    conductors.gained.clear()
    conductors.advance(LEASE_S - 0.1, first)
    assert owned(first) == own
    conductors.advance(0.2, first)
    assert owned(first) == set(SUBJECTS)
    assert conductors.gained == ["a"]
    conductors.advance(LEASE_S, first)
    assert conductors.gained == ["a"], "once"


def test_the_part_of_one_that_stops_is_taken_over_with_the_next_renewal(conductors: Conductors) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    second.release()
    conductors.advance(LEASE_S / 3, first)
    assert owned(first) == set(SUBJECTS)
    assert owned(second) == set()


def test_one_that_was_away_does_nothing_until_the_others_know_that_it_is_back(conductors: Conductors) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    conductors.advance(2 * LEASE_S, first)
    assert owned(second) == set()
    conductors.advance(LEASE_S - 0.1, first, second)
    assert (owned(first), owned(second)) == (set(SUBJECTS), set())
    conductors.advance(1, first, second)
    assert owned(second) == set(SUBJECTS) - owned(first) != set()


def test_one_that_renews_at_the_very_end_of_its_lease_begins_anew(conductors: Conductors) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    conductors.advance(LEASE_S - 0.1, first)
    second.renew()
    conductors.advance(0.2)
    assert owned(second) == set()
    assert owned(first) == set(SUBJECTS)


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_a_clock_that_is_set_stops_nobody_for_long(conductors: Conductors, step_s: float) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    conductors.step_s = step_s
    conductors.advance(2 * LEASE_S, first, second)
    assert owned(first) | owned(second) == set(SUBJECTS)
    assert not owned(first) & owned(second)


def test_a_dead_conductor_of_a_clock_that_was_set_back_has_no_part(conductors: Conductors) -> None:
    first, second = conductors.start("a"), conductors.start("b")
    conductors.advance(2 * LEASE_S, first, second)
    conductors.step_s = -3600
    conductors.advance(LEASE_S, first)
    assert owned(first) == set(SUBJECTS)
    conductors.start("c")
    with conductors.database.reader() as session:
        assert set(session.scalars(sa.select(ConductorLease.owner))) == {"a", "c"}


def test_an_interval_costs_one_update_and_one_query_however_many_hosts_there_are(conductors: Conductors) -> None:
    alone = conductors.start("a")
    conductors.statements.clear()
    conductors.advance(LEASE_S / 3, alone)
    assert owned(alone) == set(SUBJECTS)
    assert [statement.split()[0] for statement in conductors.statements if not statement.startswith("BEGIN")] == ["UPDATE", "SELECT"]
