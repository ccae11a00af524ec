# SPDX-License-Identifier: Apache-2.0
"""Guests that their storage stopped go on when it is back, with growing delays and not against their users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import libvirt
import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.storage import io_errors
from nova_lite.compute.virt.libvirt.storage.io_errors import IoErrors
from tests.support.wait import wait_until

STOPPED = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR]
PAUSED = [libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER]


class Domain:
    """One that stops again as often as its storage is away."""

    def __init__(self, state: list[int]) -> None:
        self.is_state, self.resumed, self.away, self.fails = state, 0, 0, 0
        self.on_error: Callable[[str], None] = lambda server_id: None

    def state(self) -> list[int]:
        return self.is_state

    def resume(self) -> None:
        self.resumed += 1
        if self.resumed <= self.away:
            self.on_error("s")  # before the call returns
        else:
            self.is_state = [libvirt.VIR_DOMAIN_RUNNING, 0]


@pytest.fixture
def domain() -> Domain:
    return Domain(STOPPED)


@pytest.fixture
def watch(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> Iterator[IoErrors]:
    monkeypatch.setattr(io_errors, "_FIRST_S", 0.01)
    monkeypatch.setattr(io_errors, "_LONGEST_S", 0.04)

    def run(action: str, work: Callable[[Any], Any]) -> Any:
        if domain.fails:
            domain.fails -= 1
            raise errors.HypervisorFailed(host="node1", action=action, reason="libvirt is away")
        return work(None)

    domains = SimpleNamespace(run=run, find=lambda conn, server_id: domain, list_stopped=lambda conn: ["s"])
    made = IoErrors(cast(Any, domains))
    domain.on_error = made.see
    made.start()
    yield made
    made.stop()


def test_a_guest_that_stopped_goes_on(domain: Domain, watch: IoErrors) -> None:
    watch.see("s")
    wait_until(lambda: domain.resumed == 1, "it to be resumed")
    assert domain.is_state[0] == libvirt.VIR_DOMAIN_RUNNING


def test_one_whose_storage_stays_away_is_resumed_again_and_later(domain: Domain, watch: IoErrors) -> None:
    domain.away = 4
    watch.see("s")
    wait_until(lambda: domain.resumed == 5, "it to run")
    assert watch._stopped["s"].delay_s == 0.04


def test_a_libvirt_that_is_away_is_tried_again(domain: Domain, watch: IoErrors) -> None:
    domain.fails = 3
    watch.see("s")
    wait_until(lambda: domain.resumed == 1, "it to be resumed")


def test_one_that_stopped_while_nobody_listened_is_found(domain: Domain, watch: IoErrors) -> None:
    watch.see_all()
    wait_until(lambda: domain.resumed == 1, "it to be resumed")


def test_one_that_its_user_paused_stays_paused(domain: Domain, watch: IoErrors) -> None:
    domain.is_state = PAUSED
    watch.see("s")
    wait_until(lambda: watch._stopped["s"].due is None, "it to be looked at")
    assert domain.resumed == 0


def test_one_that_is_paused_while_it_is_stopped_is_not_resumed(domain: Domain, watch: IoErrors) -> None:
    domain.fails = 1
    watch.see("s")
    watch.forget("s")
    watch.see("other")
    wait_until(lambda: "other" in watch._stopped and watch._stopped["other"].due is None, "another to be looked at")
    assert "s" not in watch._stopped
