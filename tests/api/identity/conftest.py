# SPDX-License-Identifier: Apache-2.0
"""One cloud with an admin, Alice and Mallory for all tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.api.identity_cloud import IdentityCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IdentityCloud]:
    identity_cloud = IdentityCloud(tmp_path_factory.mktemp("identity"))
    yield identity_cloud
    identity_cloud.database.close()


@pytest.fixture(scope="module")
def admin(cloud: IdentityCloud) -> str:
    return cloud.token()


@pytest.fixture(scope="module")
def alice(cloud: IdentityCloud, admin: str) -> tuple[str, str]:
    """Alice's user and project ids; she is a member."""
    return cloud.make_user("alice", project="red", role="member", admin=admin)


@pytest.fixture(scope="module")
def mallory(cloud: IdentityCloud, admin: str) -> str:
    """The token of a member of another project."""
    cloud.make_user("mallory", project="blue", role="member", admin=admin)
    return cloud.token("mallory", "mallory secret", project="blue")


@pytest.fixture
def forget(cloud: IdentityCloud) -> Iterator[Callable[[], None]]:
    """Advance the clock beyond the time for which the filter caches a token."""

    def wait() -> None:
        cloud.clock.added += 5.1

    yield wait
    cloud.clock.added = 0.0


@pytest.fixture
def policy_file(cloud: IdentityCloud) -> Iterator[Path]:
    path = Path(cloud.conf.state_path, "policy.yaml")  # beside nova.conf
    yield path
    path.unlink(missing_ok=True)
