# SPDX-License-Identifier: Apache-2.0
"""The power button is pressed while QEMU ends: libvirt's error is of no importance if the guest is off right after it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.power import LibvirtPower
from nova_lite.compute.virt.libvirt.storage.io_errors import IoErrors
from nova_lite.lifecycle.servers import Power

SERVER = "6c9b1a52-0000-4000-8000-000000000001"


def power(*, goes_off: bool) -> LibvirtPower:
    """Of a guest whose monitor is closed when the button is pressed, and that is off then or not."""
    events = DomainEvents()

    def run(action: str, _work: object, *, timeout_s: float | None = None) -> Any:
        if goes_off:
            events.publish(SERVER, Power.SHUTDOWN)
        raise errors.HypervisorFailed(host="node1", action=action, reason="Unable to read from monitor: Connection reset by peer")

    domains = cast(Any, SimpleNamespace(run=run))
    return LibvirtPower(domains, events, IoErrors(domains), cast(Any, None))


def test_a_guest_that_goes_off_while_it_is_stopped_is_stopped() -> None:
    power(goes_off=True).stop(SERVER, timeout_s=30)


def test_a_button_that_cannot_be_pressed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.compute.virt.libvirt.power._ENDING_S", 0.01)
    with pytest.raises(errors.HypervisorFailed, match="Connection reset by peer"):
        power(goes_off=False).stop(SERVER, timeout_s=30)
