# SPDX-License-Identifier: Apache-2.0
"""Runs our programs as forks of one process that has imported them: a start, of which tests make hundreds, costs no imports.

Run as a program with the number of an inherited socket, it answers one message after the other until the other side
closes: JSON `{"program", "words", "environment", "namespaces", "has_session"}` with four file descriptors: standard input, output and
error, and a pipe that gets two lines: the pid, and later the exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

from tests.support.paths import ROOT
from tools.lib.daemons import Programs, environment, program
from tools.lib.services import Process, ServiceError
from tools.lib.services.processes import is_readable

NOVA_LITE = "nova-lite"
# Modules whose `main()` is run as those that pip makes programs of.
COMPUTE, NETWORK = "tests.support.system.compute_child", "tests.support.system.network_process"
# What they import later, in every process anew.
_LATER = ("alembic.command", "nova_lite.compute.virt.libvirt.driver", "nova_lite.network.linux.driver", "oslo_policy._external",
          "futurist", "nova_lite.rpc.inprocess", "nova_lite.runtime.http.server", "paste.urlmap", "psycopg2.extras", "pymysql",
          "sqlalchemy.dialects.mysql.pymysql", "sqlalchemy.dialects.postgresql.psycopg2", "sqlalchemy.dialects.sqlite", "sqlite3")
_NAMESPACES = ("net", "uts", "mnt")
_END_S = 60.0
_RUN_S = 60.0


class Fork:
    """One program, as far as tests handle a process: the part of subprocess.Popen that they use."""

    def __init__(self, status: BinaryIO, stdin: IO[str] | None, stdout: IO[str] | None) -> None:
        self.stdin, self.stdout, self.stderr = stdin, stdout, None
        self._status = status
        self._code: int | None = None
        self.pid = int(self._status.readline())

    def poll(self) -> int | None:
        """The exit code, negative for a signal's number; None: it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended.

        :raises subprocess.TimeoutExpired: it runs on for `timeout` seconds.
        """
        if self._code is None:
            if not is_readable(self._status.fileno(), timeout):
                raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
            self._code = int(self._status.readline())
            self._status.close()
        return self._code

    def communicate(self, timeout: float) -> tuple[int, str]:
        """The exit code of a piped one that gets no input, and what it printed, which a pipe must hold."""
        assert self.stdin is not None
        assert self.stdout is not None
        code = self.wait(timeout)
        with self.stdin, self.stdout:
            return code, self.stdout.read()

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def forget(self) -> None:
        """Let it run on; nobody needs its exit code."""
        self._status.close()


class Daemon(Process):
    """A fork that is found and ended by its record, as other daemons are."""

    def _spawn(self, argv: Sequence[str], *, env: Mapping[str, str] | None) -> int:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            fork = start(Path(argv[0]).name, argv[1:], environment=os.environ if env is None else env, log=log, has_session=True)
        fork.forget()
        return fork.pid


class ForkedPrograms(Programs):
    """Our programs on native threads: eventlet must be chosen before what forks share is imported."""

    def process(self, name: str, state_dir: Path) -> Process:
        return Daemon(name, state_dir)

    def output(self, name: str, *words: str) -> str:
        done = run(name, *words)
        if done.returncode != 0:
            raise ServiceError(f"{name} failed ({done.returncode}): {done.stderr.strip()}")
        return done.stdout


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    """One that ends by itself, in the environment of tests."""
    with tempfile.TemporaryFile("w+") as log:
        code, printed = start(program, words, environment={**environment(), "PYTHONPATH": str(ROOT)}, log=log, is_piped=True).communicate(_RUN_S)
        log.seek(0)
        return subprocess.CompletedProcess([program, *words], code, printed, log.read())


def start(
    program: str, words: Sequence[str], *, environment: Mapping[str, str], log: IO[Any], namespaces_of: int | None = None,
    is_piped: bool = False, has_session: bool = False,
) -> Fork:
    """`PROGRAM WORDS…` in `/`; in the network, mount and UTS namespace of the process `namespaces_of`.

    `program`: one that pip installs, or a module of the above. Its output is in `log`; `is_piped`: only standard error is,
    the other two are the fork's `stdin` and `stdout`. `has_session`: it leads one of its own.
    """
    with contextlib.ExitStack() as theirs:
        reading, status = _pipe(theirs, ours=0)
        stdin = stdout = None
        if is_piped:
            given, inner_in = _pipe(theirs, ours=1)
            taken, inner_out = _pipe(theirs, ours=0)
            stdin, stdout = os.fdopen(given, "w"), os.fdopen(taken)
        else:
            inner_in, inner_out = os.open(os.devnull, os.O_RDONLY), log.fileno()
            theirs.callback(os.close, inner_in)
        request = {"program": program, "words": list(words), "environment": dict(environment), "namespaces": namespaces_of,
                   "has_session": has_session}
        socket.send_fds(_server(), [json.dumps(request).encode()], [inner_in, inner_out, log.fileno(), status])
    return Fork(os.fdopen(reading, "rb", buffering=0), stdin, stdout)


def _pipe(theirs: contextlib.ExitStack, *, ours: int) -> tuple[int, int]:
    """A pipe's end of this process (0: it reads) and the other, which is closed with the stack."""
    ends = os.pipe()
    theirs.callback(os.close, ends[1 - ours])
    return ends[ours], ends[1 - ours]


@functools.cache
def _server() -> socket.socket:
    """This process's own, until it ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", __name__, str(theirs.fileno())], cwd=ROOT, stdin=subprocess.DEVNULL,
                               pass_fds=[theirs.fileno()])
    theirs.close()
    atexit.register(process.wait, _END_S)
    atexit.register(ours.close)
    return ours


def _serve(requests: socket.socket) -> None:
    mains: dict[str, Callable[[], int | None]] = {
        entry.name: entry.load() for entry in importlib.metadata.entry_points(group="console_scripts") if entry.module.startswith("nova_lite.")}
    mains |= {name: importlib.import_module(name).main for name in (COMPUTE, NETWORK)}
    for name in _LATER:
        with contextlib.suppress(ModuleNotFoundError):  # libvirt, on a machine that has none
            importlib.import_module(name)
    for service in importlib.import_module("nova_lite.api.services").SERVICES.values():
        _ = service.mapper  # kept; to make them is a sixth of a start
    assert threading.active_count() == 1, "a fork has only the thread that forks"
    gc.collect()
    gc.freeze()  # a collection in a fork would copy every page
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that look after a fork
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 20, 4)
        if not message:
            return
        if not os.fork():
            requests.close()
            _look_after(json.loads(message), mains, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def _look_after(request: dict[str, Any], mains: Mapping[str, Callable[[], int | None]], stdin: int, stdout: int, stderr: int, status: int) -> NoReturn:
    """Start it, report its pid, and its exit code in the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        os.close(status)
        for number, descriptor in enumerate((stdin, stdout, stderr)):
            os.dup2(descriptor, number)
            os.close(descriptor)
        _become(request, mains[request["program"]])
    for descriptor in (0, 1, 2, stdin, stdout, stderr):
        os.close(descriptor)
    os.write(status, f"{child}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):  # nobody wants to know
        os.write(status, f"{code}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], main: Callable[[], int | None]) -> NoReturn:
    """The program: its namespaces, environment and exit code."""
    code = 1
    try:
        if request["namespaces"] is not None:
            _enter(request["namespaces"])
        if request["has_session"]:
            os.setsid()
        os.chdir("/")
        os.environ.clear()
        os.environ.update(request["environment"])
        from nova_lite.runtime import failpoints

        importlib.reload(failpoints)  # it reads the environment when it is imported
        sys.argv = [program(request["program"]), *request["words"]]
        code = main() or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _enter(pid: int) -> None:
    """What `nsenter -t PID -n -u -m` does."""
    libc = ctypes.CDLL(None, use_errno=True)
    for handle in [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY) for name in _NAMESPACES]:
        if libc.setns(handle, 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        os.close(handle)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
