# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests of block storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import volume_api
from tests.support.api.volume_api import VolumeApi


@pytest.fixture
def api(tmp_path: Path) -> Iterator[VolumeApi]:
    """The Block Storage API with the type `__DEFAULT__`."""
    made = volume_api.make(tmp_path)
    yield made
    made.database.close()
