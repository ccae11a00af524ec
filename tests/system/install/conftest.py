# SPDX-License-Identifier: Apache-2.0
"""A directory and a switch for the parts that real tests stand on, of which nothing is left after the test."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.wait import wait_until
from tools.lib.services import Switch

SWITCH = "nlt" + str(os.getpid() % 10000)


def leftovers(state: Path) -> list[str]:
    """Return what still points into `state`: processes, mounts in any namespace, devices, cgroups."""
    needle = str(state)
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        with contextlib.suppress(OSError):
            if needle in (process / "cmdline").read_text(errors="replace"):
                found.append(f"process {process.name}: {(process / 'cmdline').read_text(errors='replace')}")
            if needle in (process / "mountinfo").read_text():
                found.append(f"mount seen by process {process.name}")
            for handle in (process / "fd").iterdir():
                if str(handle.readlink()).startswith(needle):
                    found.append(f"open file of process {process.name}")
    found += [
        f"device {device.name}"
        for device in Path("/sys/class/net").iterdir()
        if device.name.startswith(SWITCH)
    ]
    # os.walk, not a glob: guests of other tests come and go meanwhile, and their cgroups with them
    for parent, children, _files in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {parent}/{child}" for child in children if SWITCH in child]
    return found


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A directory to which, after the test, nothing on the machine refers any more."""
    yield tmp_path
    # Process 1 reaps orphans every 2 s.
    wait_until(lambda: leftovers(tmp_path) == [], "nothing to be left", details=lambda: str(leftovers(tmp_path)))


@pytest.fixture
def switch() -> Iterator[Switch]:
    """A switch of this test run's own."""
    with Switch(SWITCH, address="10.199.213.254/24") as made:
        yield made
