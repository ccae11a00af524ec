# SPDX-License-Identifier: Apache-2.0
"""Wall clocks of daemons that can be set while they run, by a library that is compiled and preloaded."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

from tools.lib.services.errors import ServiceError
from tools.lib.services.service import output_of

_SOURCE = Path(__file__).with_name("clock.c")


class Clocks:
    """One clock for each daemon, in files of `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._library = directory / "clock.so"

    def environment(self, name: str) -> dict[str, str]:
        """Of a daemon whose clock can be set; empty without a C compiler."""
        if shutil.which("cc") is None:
            return {}
        if not self._library.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            output_of(["cc", "-O2", "-shared", "-fPIC", "-o", str(self._library), str(_SOURCE), "-ldl"])
        if not self._file(name).exists():
            self.set(name, 0)
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file(name))}

    def set(self, name: str, seconds: int) -> None:
        """The daemon's clock shows so many seconds more than the machine's.

        :raises ServiceError: it cannot be set.
        """
        if shutil.which("cc") is None:
            raise ServiceError("clocks cannot be set without a C compiler")
        with open(self._file(name), "r+b" if self._file(name).exists() else "wb") as file:
            file.write(struct.pack("=q", seconds))

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}.clock"
