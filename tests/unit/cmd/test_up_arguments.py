# SPDX-License-Identifier: Apache-2.0
"""Arguments of `nova-lite up` that are invalid end it with status 2 and a line that names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.cmd.lite import cloud_file, up
from nova_lite.cmd.lite.main import parser
from nova_lite.volume import backends
from nova_lite.volume.fake import FakePool
from tests.support.options import defaults


@pytest.mark.parametrize(("name", "value"), [
    ("--port", "70000"), ("--port", "0"), ("--port", "http"), ("--hosts", "0"), ("--listen", "no host"), ("--listen", "999.1.1.1"),
])
def test_an_invalid_argument_is_named(capsys: pytest.CaptureFixture[str], name: str, value: str) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["up", name, value])
    assert end.value.code == 2
    assert f"argument {name}: " in capsys.readouterr().err


@pytest.mark.parametrize("listen", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_valid_arguments_are_parsed(listen: str) -> None:
    arguments = parser().parse_args(["up", "--port", "8775", "--listen", listen, "--hosts", "3"])
    assert (arguments.port, arguments.listen, arguments.hosts) == (8775, listen, 3)


@pytest.mark.parametrize(("listen", "public_url"), [
    ("192.0.2.7", "http://192.0.2.7:8774"), ("::1", "http://[::1]:8774"), ("0.0.0.0", ""), ("::", ""),
])
def test_links_name_the_address_of_the_api_unless_it_has_them_all(tmp_path: Path, listen: str, public_url: str) -> None:
    conf = defaults()
    conf.set_override("listen", listen, group="api")
    for name, value in {"my_ip": "192.0.2.9", "state_path": str(tmp_path)}.items():
        conf.set_override(name, value)
    up.embed(conf)
    cloud_file.write(conf, "secret")
    assert conf.api.public_url == public_url
    assert (public_url or "http://192.0.2.9:8774") + "/identity/v3" in (tmp_path / "clouds.yaml").read_text()


def test_a_simulated_cloud_keeps_no_volume_on_a_disk_whatever_nova_conf_says(tmp_path: Path) -> None:
    file = tmp_path / "nova.conf"
    file.write_text("[DEFAULT]\nenabled_backends = local,fast\n[backend_defaults]\nvolume_driver = directory\n[fast]\nvolume_driver = tgt\n")
    conf = up.configure(parser().parse_args(["up", "--fake", "--config-file", str(file), "--state", str(tmp_path / "state")]))
    assert [type(backend.pool) for backend in backends.make(conf)] == [FakePool, FakePool]
