# SPDX-License-Identifier: Apache-2.0
"""The host that a worker's state is of: under another name the worker would be another host, and its guests would be nobody's."""

from __future__ import annotations

from pathlib import Path

from nova_lite import errors
from nova_lite.worker import files

_FILE = "host"


def claim(directory: Path, host: str, *, is_in_use: bool, recorded: str = "") -> None:
    """Keep the host's name with its state. `is_in_use`: something on the host depends on it; else it may change hands.

    `recorded`: the name by what release 0.1 left, which kept none.

    :raises errors.WrongHost: the state is another host's.
    """
    path = directory / _FILE
    known = path.read_text().strip() if path.exists() else recorded
    if is_in_use and known not in ("", host):
        raise errors.WrongHost(directory=directory, known=known, host=host)
    if not path.exists() or known != host:
        files.replace(path, host + "\n")


def forget(directory: Path) -> None:
    """Leave nothing."""
    (directory / _FILE).unlink(missing_ok=True)
