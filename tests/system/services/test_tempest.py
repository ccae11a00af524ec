# SPDX-License-Identifier: Apache-2.0
"""Tempest tests a part of the compute API and all of block storage's, on simulated guests; `tools/tempest` runs all of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="tools/tempest needs root")

# Each kind of resource and each family of actions; what only waits for a second host is left out.
PART = (r"test_versions|test_flavors\.|test_keypairs\.|test_aggregates\.|test_quotas\.|test_server_group"
        r"|test_create_server\.ServersTestJSON|test_server_actions\.ServerActionsTestJSON|test_server_tags"
        r"|test_server_metadata\.|test_attach_interfaces|test_images_oneserver\.|test_server_rescue\.ServerRescue"
        r"|test_delete_server|test_instance_actions\.|test_novnc|test_servers\.ServersListShow|test_remote_consoles")
VOLUMES = r"tempest\.api\.volume|compute\.volumes"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("part", "least"), [pytest.param(PART, 80, id="servers"), pytest.param(VOLUMES, 200, id="volumes")])
def test_tempest_finds_no_fault(tmp_path: Path, part: str, least: int) -> None:
    """With accounts that were made before; no test fails, and most run."""
    command = [sys.executable, "-B", "-m", "tools.lib.tempest.main", "--accounts", "--concurrency", "3",
               "--state", str(tmp_path / "tempest"), "--run", part, "-f", "json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=880, check=False)
    assert ran.stdout, ran.stderr[-3000:]
    counts = json.loads(ran.stdout)
    assert not counts["failures"], (counts, ran.stderr[-3000:])
    assert counts["passed"] >= least, counts
    assert ran.returncode == 0
