# SPDX-License-Identifier: Apache-2.0
"""A worker's state stays its host's: it is not taken over under another name while it is in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.worker import host_name


def test_a_host_starts_on_its_own_state_again(tmp_path: Path) -> None:
    for _ in range(2):
        host_name.claim(tmp_path, "node1", is_in_use=True)


def test_another_name_is_refused_with_what_to_do(tmp_path: Path) -> None:
    host_name.claim(tmp_path, "node1", is_in_use=False)
    for _ in range(2):  # refused, it has changed nothing
        with pytest.raises(errors.WrongHost) as refused:
            host_name.claim(tmp_path, "node2", is_in_use=True)
    assert refused.value.text == (
        f"{tmp_path} is in use by host node1, and this host is called node2: set [DEFAULT] host = node1")


def test_state_that_is_not_in_use_goes_to_the_new_name(tmp_path: Path) -> None:
    host_name.claim(tmp_path, "node1", is_in_use=False)
    host_name.claim(tmp_path, "node2", is_in_use=False)
    host_name.claim(tmp_path, "node2", is_in_use=True)


def test_state_of_release_0_1_is_of_the_host_that_its_records_name(tmp_path: Path) -> None:
    with pytest.raises(errors.WrongHost, match="by host node1"):
        host_name.claim(tmp_path, "node2", is_in_use=True, recorded="node1")
    host_name.claim(tmp_path, "node1", is_in_use=True, recorded="node1")
    with pytest.raises(errors.WrongHost):
        host_name.claim(tmp_path, "node2", is_in_use=True)


def test_nothing_is_left_of_a_name_that_is_forgotten(tmp_path: Path) -> None:
    host_name.claim(tmp_path, "node1", is_in_use=True)
    host_name.forget(tmp_path)
    assert list(tmp_path.iterdir()) == []
