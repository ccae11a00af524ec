# SPDX-License-Identifier: Apache-2.0
"""A database with one network for tests of the rows of networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.db.base import Base
from nova_lite.db.engine import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/rows.sqlite")
    Base.metadata.create_all(made.engine)
    yield made
    made.close()
