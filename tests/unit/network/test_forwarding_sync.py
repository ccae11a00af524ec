# SPDX-License-Identifier: Apache-2.0
"""Where ports are reaches a host in any order: what does not fit is fetched, and without a conductor nothing is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.network.forwarding_sync import ForwardingSync
from nova_lite.network.state_sync import NoSource
from nova_lite.rpc.network import Forwarding, ForwardingChange, PortPlace

ONE, TWO, THREE = (PortPlace(mac=f"fa:16:3e:00:00:0{number}", tunnel_ip=f"192.0.2.{number}") for number in (1, 2, 3))


class Rows(NoSource):
    """The conductor: answers with `whole`, and counts."""

    def __init__(self) -> None:
        self.whole = Forwarding(network_id="n", revision=10, places=(ONE,))
        self.fetched = 0
        self.is_away = False
        self.meanwhile: Callable[[], None] = lambda: None

    def forwarding(self, ctxt: Context, *, network_ids: tuple[str, ...]) -> tuple[Forwarding, ...]:
        if self.is_away:
            raise errors.Unavailable(reason="no conductor answers")
        self.fetched += 1
        answer = (self.whole,)
        meanwhile, self.meanwhile = self.meanwhile, lambda: None
        meanwhile()
        return answer


@pytest.fixture
def rows() -> Rows:
    return Rows()


@pytest.fixture
def sync(rows: Rows) -> ForwardingSync:
    """It knows the network at revision 10."""
    made = ForwardingSync(rows)
    made.fetch(["n"])
    rows.fetched = 0
    return made


def change(base: int, revision: int, *places: PortPlace, gone: tuple[str, ...] = ()) -> ForwardingChange:
    return ForwardingChange(network_id="n", base_revision=base, revision=revision, places=places, gone=gone)


def known(sync: ForwardingSync) -> set[str]:
    return set(sync.places("n") or ())


def test_changes_that_follow_each_other_are_applied(sync: ForwardingSync, rows: Rows) -> None:
    assert sync.change([change(10, 11, TWO)]) == {"n"}
    assert sync.change([change(11, 12, THREE, gone=(ONE.mac,))]) == {"n"}
    assert (known(sync), rows.fetched) == ({TWO.mac, THREE.mac}, 0)


def test_one_that_comes_late_or_twice_changes_nothing(sync: ForwardingSync, rows: Rows) -> None:
    sync.change([change(10, 11, TWO)])
    assert sync.change([change(10, 11, TWO), change(8, 9, THREE)]) == set()
    assert (known(sync), rows.fetched) == ({ONE.mac, TWO.mac}, 0)


@pytest.mark.parametrize("base", [11, 12], ids=["one was missed", "all are to be fetched"])
def test_what_does_not_follow_is_fetched(sync: ForwardingSync, rows: Rows, base: int) -> None:
    rows.whole = Forwarding(network_id="n", revision=12, places=(TWO, THREE))
    assert sync.change([change(base, 12, THREE)]) == {"n"}
    assert (known(sync), rows.fetched) == ({TWO.mac, THREE.mac}, 1)


def test_a_change_that_comes_while_the_network_is_fetched_is_not_lost(sync: ForwardingSync, rows: Rows) -> None:
    def newer() -> None:
        rows.whole = Forwarding(network_id="n", revision=14, places=(THREE,))
        sync.change([change(13, 14, THREE)])

    rows.whole, rows.meanwhile = Forwarding(network_id="n", revision=12, places=(TWO,)), newer
    sync.change([change(11, 12, TWO)])
    assert known(sync) == {THREE.mac}


def test_a_host_is_behind_at_another_revision_and_where_it_knows_nothing(sync: ForwardingSync) -> None:
    assert sync.behind({"n": 10, "other": 0}) == {"other"}
    assert sync.behind({"n": 11}) == {"n"}
    sync.forget("n")
    assert sync.behind({"n": 10}) == {"n"}


def test_without_a_conductor_what_is_not_known_is_flooded(rows: Rows) -> None:
    rows.is_away = True
    sync = ForwardingSync(rows)
    assert sync.change([change(10, 11, TWO)]) == set()
    assert sync.places("n") is None
