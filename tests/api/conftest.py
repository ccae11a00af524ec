# SPDX-License-Identifier: Apache-2.0
"""Fixtures that most tests of the API use; a file that needs another cloud has a fixture of its own."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite.db.identity import passwords
from tests.support import rpc_threads
from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi
from tests.support.api.image_service import DATA, ImageService

rpc_threads.end_soon()
passwords._scrypt = functools.cache(passwords._scrypt)  # what is logged in with is hashed again each time


@pytest.fixture
def api(tmp_path: Path) -> ComputeApi:
    """The Compute API with an image, a network and a flavor."""
    return compute_api.furnish(compute_api.make(tmp_path))


@pytest.fixture
def server_id(api: ComputeApi) -> str:
    """A server of alice's that is active on host h1; the messages of its build are dropped."""
    made = compute_api.boot(api)
    compute_api.settle(api, made)
    api.rpc.sent.clear()
    return made


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ImageService]:
    """The image service alone."""
    made = ImageService(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def active(service: ImageService) -> dict[str, Any]:
    """An active private image of alice's."""
    made = service.create(visibility="private")
    assert service.upload(made["id"], DATA).status_int == 204
    return dict(service.request("GET", f"/images/{made['id']}").json)
