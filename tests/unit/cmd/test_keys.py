# SPDX-License-Identifier: Apache-2.0
"""`nova-lite keys rpc`: the cloud's secret and the keys of hosts, as daemons read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.cmd.lite import main
from nova_lite.rpc import signing


def execute(directory: Path, *words: str, secret_file: str = "rpc.secret") -> int:
    config = directory / "nova.conf"
    config.write_text(f"[DEFAULT]\nstate_path = {directory}\n[rpc]\nsecret_file = {directory / secret_file if secret_file else ''}\n")
    return main.execute(["keys", "rpc", "--config-file", str(config), *words])


def test_the_secret_is_made_once_for_its_owner_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(tmp_path) == 0
    secret = (tmp_path / "rpc.secret").read_text()
    assert execute(tmp_path) == 0
    assert (tmp_path / "rpc.secret").read_text() == secret
    assert (tmp_path / "rpc.secret").stat().st_mode & 0o777 == 0o600
    assert secret.strip() not in capsys.readouterr().out


def test_a_hosts_key_is_printed_as_its_file_is_to_have_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    execute(tmp_path)
    capsys.readouterr()
    assert execute(tmp_path, "--host", "compute1") == 0
    (tmp_path / "host.key").write_text(capsys.readouterr().out)
    _, secret = signing.read_key(tmp_path / "rpc.secret")
    assert signing.read_key(tmp_path / "host.key") == ("compute1", signing.host_key(secret, "compute1"))
    assert execute(tmp_path, "--host", "compute2", secret_file="host.key") == 1


def test_without_a_file_to_put_it_in_there_is_no_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(tmp_path, secret_file="") == 1
    assert "[rpc] secret_file is not set" in capsys.readouterr().err
