# SPDX-License-Identifier: Apache-2.0
"""Names processes so that exactly the ones we started can be ended, also by a later run with the record."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.lib.services.errors import ServiceError

_SUBREAPER = Path(__file__).with_name("subreaper.py")


@dataclass(frozen=True)
class Identity:
    """A process that cannot be mistaken for a later one with the same pid.

    `started` is in clock ticks since boot: field 22 of /proc/PID/stat, proc(5).
    """

    pid: int
    started: int


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third on (state first); empty when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text[text.rindex(")") + 2 :].split()  # the command name before it may hold blanks and brackets


def identify(pid: int) -> Identity | None:
    """Return who runs as `pid`, or None when nobody does (a zombie is nobody)."""
    fields = _stat(pid)
    if not fields or fields[0] in ("Z", "X"):
        return None
    return Identity(pid, int(fields[19]))


def is_alive(who: Identity) -> bool:
    """Say whether that very process still runs; reaps it when it was our own child and has ended."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(who.pid, os.WNOHANG)
    return identify(who.pid) == who


def descendants(pid: int) -> list[Identity]:
    """Return the living processes below `pid`, parents first."""
    children: dict[int, list[int]] = {}
    for other in pids():
        fields = _stat(other)
        if fields:
            children.setdefault(int(fields[1]), []).append(other)
    found: list[Identity] = []
    waiting = list(children.get(pid, ()))
    while waiting:
        child = waiting.pop(0)
        waiting.extend(children.get(child, ()))
        who = identify(child)
        if who is not None:
            found.append(who)
    return found


def pids() -> Iterator[int]:
    """Yield the ids of all processes."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            yield int(entry)


def end(who: Identity, *, by: signal.Signals = signal.SIGTERM, deadline_s: float = 20) -> None:
    """End that process: signal `by`, and SIGKILL when it runs after `deadline_s`. Nothing when it is gone.

    :raises ServiceError: it survives SIGKILL for 10 s (stuck in the kernel).
    """
    try:
        handle = os.pidfd_open(who.pid)  # a handle, so that a reused pid is never signalled
    except ProcessLookupError:
        return
    try:
        if not is_alive(who):
            return
        for number, limit_s in ((by, deadline_s), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, number)
            if is_readable(handle, limit_s):
                is_alive(who)
                return
    finally:
        os.close(handle)
    raise ServiceError(f"process {who.pid} does not end, not even by SIGKILL; see /proc/{who.pid}/stack")


def is_readable(handle: int, within_s: float | None) -> bool:
    """Say whether there is something to read from a file descriptor within so many seconds; None waits for it.

    select(2) refuses descriptors from 1024 on, which a long run of tests reaches.
    """
    looked_at = select.poll()
    looked_at.register(handle, select.POLLIN)
    return bool(looked_at.poll(None if within_s is None else within_s * 1000))


def wait_until(
    condition: Callable[[], bool], *, deadline_s: float, what: str, watch: Sequence[Process] = ()
) -> None:
    """Poll until the condition holds.

    :raises ServiceError: no yes within `deadline_s`, or a process of `watch` ended; with its last log lines.
    """
    until = time.monotonic() + deadline_s
    pause_s = 0.02
    while not condition():
        dead = [process for process in watch if not process.is_alive()]
        if dead:
            raise ServiceError(f"{what}: {dead[0].name} ended before it was ready\n{dead[0].tail()}")
        if time.monotonic() > until:
            logs = "\n".join(process.tail() for process in watch)
            raise ServiceError(f"{what}: not ready after {deadline_s:.0f} s\n{logs}")
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, 0.25)


class Process:
    """One process that we start, find again and end; its record and its log live in `state_dir`.

    Another Process object with the same name and directory, also in another Python, speaks for the same
    process.
    """

    def __init__(self, name: str, state_dir: Path) -> None:
        self.name = name
        self.log = state_dir / f"{name}.log"
        self.reaper_file = state_dir / f"{name}.reaped"
        """Its pid, by its sub-reaper; in that one's command line, so that it can be found."""
        self._record = state_dir / f"{name}.process"

    @property
    def identity(self) -> Identity | None:
        """Who it is, or None when it does not run."""
        try:
            who = Identity(**json.loads(self._record.read_text()))
        except FileNotFoundError:
            return None
        return who if is_alive(who) else None

    @property
    def pid(self) -> int:
        """Its process id.

        :raises ServiceError: it does not run.
        """
        who = self.identity
        if who is None:
            raise ServiceError(f"{self.name} does not run; log: {self.log}\n{self.tail()}")
        return who.pid

    def is_alive(self) -> bool:
        """Say whether it runs."""
        return self.identity is not None

    def start(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start `argv` in its own session, output appended to the log. Nothing when it already runs."""
        if not self.is_alive():
            self._save(self._spawn(argv, env=env))

    def start_reaped(
        self, argv: Sequence[str], *, enter: Callable[[Sequence[str]], list[str]] = list
    ) -> None:
        """Start `argv` under a sub-reaper (subreaper.py), which stays until the last orphan has ended.

        :param enter: makes of a command the command that runs it elsewhere, as `Host.command` does.
        """
        if self.is_alive():
            return
        self.reaper_file.unlink(missing_ok=True)
        reaper = self._spawn(
            enter([sys.executable, "-I", "-S", str(_SUBREAPER), str(self.reaper_file), *argv]), env=None
        )
        try:
            wait_until(
                lambda: self.reaper_file.exists() or identify(reaper) is None,
                deadline_s=20,
                what=f"starting {self.name}",
            )
            self._save(int(self.reaper_file.read_text()))
        except FileNotFoundError:
            raise ServiceError(f"{self.name} did not start\n{self.tail()}") from None

    def end(self, *, by: signal.Signals = signal.SIGTERM, deadline_s: float = 20) -> None:
        """End it, kindly first. What it left running under a sub-reaper is not touched."""
        who = self.identity
        if who is not None:
            end(who, by=by, deadline_s=deadline_s)
        self._record.unlink(missing_ok=True)

    def crash(self) -> None:
        """End it alone by SIGKILL; what it started goes on."""
        self.end(by=signal.SIGKILL)

    def kill9(self) -> None:
        """End it and all below it by SIGKILL at once, as a crash would."""
        who = self.identity
        if who is not None:
            for victim in (who, *descendants(who.pid)):
                end(victim, by=signal.SIGKILL)
        self._record.unlink(missing_ok=True)

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log, for an error message."""
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return f"({self.log} does not exist)"
        return f"last lines of {self.log}:\n" + "\n".join(text.splitlines()[-lines:])

    def _spawn(self, argv: Sequence[str], *, env: Mapping[str, str] | None) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        try:
            # not Popen: these processes outlive this Python by intent, so no object may own them
            return os.posix_spawnp(
                argv[0],
                list(argv),
                dict(os.environ if env is None else env),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(self.log), flags, 0o600),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],  # Python ignores them; its children should not
            )
        except FileNotFoundError:
            raise ServiceError(f"{argv[0]} is not installed; run tools/install --for test") from None

    def _save(self, pid: int) -> None:
        who = identify(pid)
        if who is None:
            is_alive(Identity(pid, 0))
            raise ServiceError(f"{self.name} ended at once\n{self.tail()}")
        self._record.write_text(json.dumps(asdict(who)))
