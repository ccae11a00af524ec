# SPDX-License-Identifier: Apache-2.0
"""What every service has in common: a directory that is its whole state, settings kept there, start and stop."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tools.lib.services.errors import ServiceError

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,62}")


class Service(ABC):
    """A real program that we run by hand; `with` starts and stops it, its directory stays until `purge()`.

    Made again with the same directory, also by another process, it speaks for the same running programs:
    ports and passwords are kept in `settings.json` (mode 0600), pids in `*.process`.
    """

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir.absolute()

    def start(self) -> None:
        """Start it and return when it answers; nothing when it already runs.

        :raises ServiceError: it does not answer in time, and is stopped again; the text ends with its last log
        lines.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    @abstractmethod
    def _start(self) -> None:
        """Start what does not run and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End what we started; data stays, and `start()` goes on with it. Nothing when it does not run."""

    @abstractmethod
    def kill9(self) -> None:
        """Crash it by SIGKILL; `start()` brings it back with its data, on its ports."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Query the service itself, within seconds."""

    def purge(self) -> None:
        """Stop it and remove its directory."""
        self.stop()
        if self.state_dir.exists():
            shutil.rmtree(self.state_dir)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _keep(self, wanted: Mapping[str, str | int]) -> dict[str, str | int]:
        """Return `wanted`, overridden by what the directory already says, and keep the result there."""
        path = self.state_dir / "settings.json"
        kept: dict[str, str | int] = {**wanted}
        if path.exists():
            kept.update(json.loads(path.read_text()))
        else:
            self.state_dir.mkdir(parents=True, exist_ok=True)
            write_private(path, json.dumps(kept, indent=1))
        return kept


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def free_port() -> int:
    """Return a TCP port that nobody listens on now, on this address or another of the machine.

    From 20000 to 32767: below Linux's ephemeral range, so that no outgoing connection takes it while a service
    restarts.
    """
    for _ in range(200):
        port = 20000 + secrets.randbelow(12768)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                continue
            return port
    raise ServiceError("no free TCP port between 20000 and 32767")


def random_password() -> str:
    """Return 128 random bits that need no quoting in URLs, SQL or configuration files."""
    return secrets.token_hex(16)


def check_identifier(name: str) -> str:
    """Return `name` when it is a plain lower-case SQL identifier.

    :raises ServiceError: it is not.
    """
    if not _IDENTIFIER.fullmatch(name):
        raise ServiceError(
            f"{name!r} is not a database name: a letter, then letters, digits and _; all lower case"
        )
    return name


def output_of(argv: Sequence[str], *, env: Mapping[str, str] | None = None, timeout_s: float = 60, text: str = "") -> str:
    """Run a short command, which may read `text`, and return its output.

    :raises ServiceError: it is missing, fails or takes longer than `timeout_s`; with what it said.
    """
    try:
        done = subprocess.run(
            argv,
            env=env,
            timeout=timeout_s,
            check=False,
            input=text,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise ServiceError(f"{argv[0]} is not installed; run tools/install --for test") from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{argv[0]} did not answer within {timeout_s:.0f} s") from None
    if done.returncode != 0:
        raise ServiceError(f"{argv[0]} failed ({done.returncode}): {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def clean_environment(**extra: str) -> dict[str, str]:
    """Return a small environment for a daemon: of the caller's only the time zone, messages in English."""
    kept = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        **kept,
        **extra,
    }
