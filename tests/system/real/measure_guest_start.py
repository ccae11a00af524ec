# SPDX-License-Identifier: Apache-2.0
"""Measures a build against what libvirt alone takes for the same domain; not a test: `pytest -s tests/system/real/measure_guest_start.py`."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from tests.system.real.test_compute_worker import Cloud, cloud

__all__ = ["cloud"]  # the fixture
ROUNDS = 9


def test_measure(cloud: Cloud) -> None:  # the fixture
    """Prints medians in seconds and their ratio; the goal is 1.3."""
    ours, plain = [], []
    for _ in range(ROUNDS):
        guest = cloud.guest()
        began = time.monotonic()
        cloud.do("build", guest=guest)
        ours.append(time.monotonic() - began)
        description = cloud.directory / "domain.xml"
        description.write_text(cloud.libvirt.virsh("dumpxml", "--inactive", guest.server_id) or "")
        cloud.libvirt.virsh("destroy", guest.server_id)
        cloud.libvirt.virsh("undefine", guest.server_id)
        plain.append(_start_alone(cloud, description))
        cloud.do("destroy", server_id=guest.server_id)
    ratio = statistics.median(ours) / statistics.median(plain)
    sys.stdout.write(f"build {statistics.median(ours):.3f} s (best {min(ours):.3f}), "
                     f"libvirt alone {statistics.median(plain):.3f} s (best {min(plain):.3f}): {ratio:.2f}\n")


def _start_alone(cloud: Cloud, description: Path) -> float:  # the fixture's value
    import libvirt

    conn = libvirt.open(cloud.libvirt.uri)
    began = time.monotonic()
    conn.defineXML(description.read_text()).create()
    took = time.monotonic() - began
    conn.close()
    return took
