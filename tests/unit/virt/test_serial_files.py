# SPDX-License-Identifier: Apache-2.0
"""The end of a guest's console log, whichever of its files that is in."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.compute.virt.libvirt.storage import serial_files


@pytest.mark.parametrize(("files", "size", "expected"), [
    ({}, 9, b""), ({"console.log": b"newest"}, 9, b"newest"), ({"console.log": b"newest"}, 3, b"est"),
    ({"console.log": b"", "console.log.0": b"before"}, 9, b"before"),
    ({"console.log": b"new", "console.log.0": b"before"}, 3, b"new"),
    ({"console.log": b"new", "console.log.0": b"before", "console.log.1": b"first"}, 11, b"st" b"before" b"new"),
    ({"console.log": b"new", "console.log.1": b"after a gap"}, 9, b"new"),
])
def test_the_log_goes_on_in_the_rotated_files(tmp_path: Path, files: dict[str, bytes], size: int, expected: bytes) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert serial_files.end_of_log(tmp_path, size=size) == expected


def test_a_file_that_is_met_again_under_its_new_name_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "console.log").write_bytes(b"new")
    (tmp_path / "console.log.0").hardlink_to(tmp_path / "console.log")
    (tmp_path / "console.log.1").write_bytes(b"before")
    assert serial_files.end_of_log(tmp_path, size=99) == b"beforenew"
