# SPDX-License-Identifier: Apache-2.0
"""The files by which stock clients find the cloud: clouds.yaml and openrc say the same, and only to their owner."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from nova_lite.cmd.lite import cloud_file
from tests.support.options import defaults

PASSWORD = "it's \"$HOME\" `id`"


def test_both_files_say_the_same(tmp_path: Path) -> None:
    conf = defaults()
    conf.set_override("state_path", str(tmp_path))
    cloud_file.write(conf, PASSWORD)
    cloud = json.loads((tmp_path / "clouds.yaml").read_text())["clouds"][cloud_file.CLOUD]
    sourced = subprocess.run(["/bin/sh", "-c", ". ./openrc; env -0"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    variables = dict(line.split("=", 1) for line in sourced.stdout.split("\0") if line.startswith("OS_"))
    said = {**cloud.pop("auth"), **cloud}
    assert said["password"] == PASSWORD
    assert variables == {f"OS_{name.upper()}": value for name, value in said.items()}
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o600}
