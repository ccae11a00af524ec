# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.runtime import failpoints
from tests.support.flows.one_process import OneProcess


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[OneProcess]:
    yield OneProcess(tmp_path)
    failpoints.arm("")
