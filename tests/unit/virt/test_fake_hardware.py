# SPDX-License-Identifier: Apache-2.0
"""What simulated hosts say of their machine."""

from __future__ import annotations

import pytest

from nova_lite.compute.virt.fake import hardware
from tests.support.options import defaults


def test_the_uptime_of_simulated_hosts_is_read_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, read, conf = [0.0], iter(("up 1 min", "up 2 min")), defaults()
    monkeypatch.setattr(hardware.machine, "uptime", lambda: next(read))
    monkeypatch.setattr(hardware._UPTIME, "_value", None)
    monkeypatch.setattr(hardware._UPTIME, "_monotonic", lambda: now[-1])

    def shown(at: float) -> list[str]:
        now.append(at)
        return [hardware.inventory(conf, host).uptime for host in ("fake-1", "fake-2")]

    assert (shown(0.0), shown(59.0), shown(61.0)) == (["up 1 min"] * 2, ["up 1 min"] * 2, ["up 2 min"] * 2)
