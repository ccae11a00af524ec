# SPDX-License-Identifier: Apache-2.0
"""What most tests of the compute face begin with; a file that needs another cloud says so by a fixture of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api import compute_api
from tests.api.compute_api import ComputeApi


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    """A face with an image, a network and a flavor."""
    return compute_api.furnish(compute_api.make(tmp_path))


@pytest.fixture
def server_id(api: ComputeApi) -> str:
    """A server of alice's that is active on host h1; nothing of its making is left to hear."""
    made = compute_api.boot(api)
    compute_api.settle(api, made)
    api.rpc.sent.clear()
    return made
