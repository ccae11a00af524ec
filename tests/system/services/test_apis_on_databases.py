# SPDX-License-Identifier: Apache-2.0
"""Lists, filters, sums and journals on real PostgreSQL and MariaDB: what SQLite forgives, orders or folds differently.

Most tests of the API and of flows can run there, see tests/support/databases.py; here, the files whose queries differ.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.databases import KINDS
from tests.support.paths import ROOT

FILES = (
    "tests/api/servers/test_servers.py", "tests/api/common/test_query_counts.py", "tests/api/compute/test_usage_and_events.py", "tests/api/compute/test_operations.py",
    "tests/api/compute/test_aggregates.py", "tests/flows/test_build.py", "tests/flows/test_trouble.py",
    "tests/flows/test_network_resync.py",
)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_apis_and_flows_hold_on_a_real_server(kind: str) -> None:
    environment = {**os.environ, "NOVA_LITE_TEST_DATABASE": kind}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES], cwd=ROOT, env=environment,
        capture_output=True, text=True, timeout=900, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:]
