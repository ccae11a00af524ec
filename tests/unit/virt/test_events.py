# SPDX-License-Identifier: Apache-2.0
"""What libvirt's events and states mean."""

from __future__ import annotations

import libvirt
import pytest

from nova_lite.compute.virt.libvirt.events import DomainEvents, power_of_event, power_of_state
from nova_lite.lifecycle.servers import Power


@pytest.mark.parametrize(("event", "detail", "power"), [
    (libvirt.VIR_DOMAIN_EVENT_STARTED, 0, Power.RUNNING),
    (libvirt.VIR_DOMAIN_EVENT_SUSPENDED, 0, Power.PAUSED),
    (libvirt.VIR_DOMAIN_EVENT_RESUMED, 0, Power.RUNNING),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, Power.SHUTDOWN),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED, Power.SHUTDOWN),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_SAVED, Power.SUSPENDED),
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED, Power.CRASHED),
    (libvirt.VIR_DOMAIN_EVENT_DEFINED, 0, None),
])
def test_events_become_power_states(event: int, detail: int, power: Power | None) -> None:
    assert power_of_event(event, detail) is power


def test_a_domain_that_is_off_with_saved_memory_is_suspended() -> None:
    assert power_of_state(libvirt.VIR_DOMAIN_SHUTOFF, 0, has_saved_memory=True) is Power.SUSPENDED


def test_a_domain_whose_qemu_died_is_crashed() -> None:
    reason = libvirt.VIR_DOMAIN_SHUTOFF_CRASHED
    assert power_of_state(libvirt.VIR_DOMAIN_SHUTOFF, reason, has_saved_memory=False) is Power.CRASHED


def test_an_operation_gets_the_events_of_its_own_guest_only() -> None:
    events = DomainEvents()
    with events.listen("a") as inbox:
        events.publish("b", Power.SHUTDOWN)
        events.on_reboot("a")
        assert inbox.get(timeout=1).is_restart
        assert inbox.empty()


def test_the_listener_gets_every_change_of_power_and_nothing_else() -> None:
    events, seen = DomainEvents(), list[tuple[str, Power]]()
    events.subscribe(lambda server_id, power: seen.append((server_id, power)))
    events.on_lifecycle("a", libvirt.VIR_DOMAIN_EVENT_STARTED, 0)
    events.on_lifecycle("a", libvirt.VIR_DOMAIN_EVENT_DEFINED, 0)
    events.on_reboot("a")
    events.on_agent_connected("a")
    assert seen == [("a", Power.RUNNING)]
