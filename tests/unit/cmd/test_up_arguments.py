# SPDX-License-Identifier: Apache-2.0
"""Arguments of `nova-lite up` that are invalid end it with status 2 and a line that names them."""

from __future__ import annotations

import pytest

from nova_lite.cmd.lite.main import parser


@pytest.mark.parametrize(("name", "value"), [
    ("--port", "70000"), ("--port", "0"), ("--port", "http"), ("--hosts", "0"), ("--listen", "no host"), ("--listen", "999.1.1.1"),
    ("--listen", "::1"),
])
def test_an_invalid_argument_is_named(capsys: pytest.CaptureFixture[str], name: str, value: str) -> None:
    with pytest.raises(SystemExit) as end:
        parser().parse_args(["up", name, value])
    assert end.value.code == 2
    assert f"argument {name}: " in capsys.readouterr().err


def test_valid_arguments_are_parsed() -> None:
    arguments = parser().parse_args(["up", "--port", "8775", "--listen", "127.0.0.1", "--hosts", "3"])
    assert (arguments.port, arguments.listen, arguments.hosts) == (8775, "127.0.0.1", 3)
