# SPDX-License-Identifier: Apache-2.0
"""A database with one network for tests of the rows of networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.db.engine import Database
from tests.support import databases


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = databases.fresh(tmp_path)
    yield made
    made.close()
