# SPDX-License-Identifier: Apache-2.0
"""One tgtd with a control socket of its own; it outlives this process, so that guests keep their volumes while the worker restarts."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from nova_lite.volume.tgt.control import Control, Mode, NoDaemon, Op
from nova_lite.worker import files, processes

_START_S = 10.0
_POLL_S = 0.02
_LOG_BYTES = 1 << 20
# Of each logical unit; more were no faster.
_THREADS = 4


class TargetDaemon:
    """tgtd at `portal` (ADDRESS:PORT), with its files in `directory`."""

    def __init__(self, directory: Path, *, portal: str) -> None:
        self._directory = directory
        self._portal = portal
        self._command = ["tgtd", "-f", "-C", "0", "--iscsi", f"portal={portal}", "-t", str(_THREADS)]
        self._pid_file, self._log = directory / "pid", directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.control = Control(directory / "socket.0")

    def is_answering(self) -> bool:
        """Whether it runs as it is to, and answers."""
        self._reap()
        try:
            self.control.send(Mode.SYSTEM, Op.SHOW)
        except NoDaemon:
            return False
        return self._recorded()[1] == self._command

    def start(self) -> None:
        """Start it, in place of one that does not answer, or was started for another portal.

        :raises NoDaemon: it ends at once, or does not answer; the text says why.
        """
        self.stop()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        program = shutil.which("tgtd") or "/usr/sbin/tgtd"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    self._command, executable=program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                    env={"PATH": os.defpath, "TGT_IPC_SOCKET": str(self._directory / "socket")})
        except OSError as error:
            raise NoDaemon(f"{program} cannot be run: {error.strerror}") from error
        files.replace(self._pid_file, json.dumps([self._process.pid, self._command]), is_durable=False)
        deadline = time.monotonic() + _START_S
        while not self.is_answering():
            if self._process is None or time.monotonic() > deadline:
                self.stop()
                raise NoDaemon(f"tgtd did not start: {self._last_line()}")
            time.sleep(_POLL_S)
        # It takes all addresses of the host when it cannot have the one that it is given.
        listening = re.findall(r"Portal: (\S+),\d+", self.control.send(Mode.PORTAL, Op.SHOW))
        if listening != [self._portal]:
            self.stop()
            raise NoDaemon(f"tgtd did not start: it cannot listen on {self._portal}")

    def stop(self) -> None:
        """End it; guests that use its volumes wait until it is back."""
        pid, command = self._recorded()
        if pid and processes.has_arguments(pid, command):
            processes.kill(pid)
            if self._process is not None and self._process.pid == pid:
                self._process.wait()
        self._reap()
        self._pid_file.unlink(missing_ok=True)

    def remove(self) -> None:
        """End it, and leave nothing."""
        self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    def trim_log(self) -> None:
        """Bound what tgtd says of each session."""
        with contextlib.suppress(FileNotFoundError):
            if self._log.stat().st_size > _LOG_BYTES:
                os.truncate(self._log, 0)

    def _recorded(self) -> tuple[int, list[str]]:
        """Process id and arguments of the one that was started last, also by an earlier process of the worker; 0: none."""
        try:
            pid, command = json.loads(self._pid_file.read_text())
        except (OSError, ValueError):
            return 0, []
        return int(pid), [str(argument) for argument in command]

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    def _last_line(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it does not answer"
