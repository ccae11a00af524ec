# SPDX-License-Identifier: Apache-2.0
"""Failpoints do nothing unless armed, and then what was said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.runtime import failpoints


@pytest.fixture(autouse=True)
def _disarm() -> Iterator[None]:
    yield
    failpoints.arm("")


def test_an_unarmed_point_does_nothing() -> None:
    failpoints.arm("other=error")
    failpoints.fail("this")


def test_error_raises_a_workers_error() -> None:
    failpoints.arm("this=error, that=delay:0")
    failpoints.fail("that")
    with pytest.raises(errors.WorkerError):
        failpoints.fail("this")


def test_crash_ends_the_process_as_a_kill_does_but_only_once_when_armed_for_it(tmp_path: Path) -> None:
    code = "from nova_lite.runtime.failpoints import arm, fail; import sys; arm(sys.argv[1]); fail('p'); print('alive')"
    spec = f"p=crash:once:{tmp_path}/mark"
    runs = [subprocess.run([sys.executable, "-c", code, spec], capture_output=True, check=False, timeout=60) for _ in range(2)]
    assert [(run.returncode, run.stdout) for run in runs] == [(137, b""), (0, b"alive\n")]
