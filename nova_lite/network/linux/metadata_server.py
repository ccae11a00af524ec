# SPDX-License-Identifier: Apache-2.0
"""The host's metadata server: a process without rights that answers guests at 169.254.169.254 of each network.

nova-network opens the sockets, since it may enter the networks' namespaces, hands them over, and answers the process's
questions from its records. It starts the process again when that ends, and the sockets wait meanwhile; without nova-network
the process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final, Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.network import names
from nova_lite.network.linux.namespaces import inside
from nova_lite.worker.processes import end, has_arguments

LOG = logging.getLogger(__name__)
_PROGRAM: Final = "nova_lite.cmd.metadata"
_PORT, _WAITING = 80, 64
# What the server may write on one line: a password of 1020 bytes, escaped, is the longest.
_MAX_QUESTION: Final = 8192
_RESTARTED_AFTER_S, _TAKEN_WITHIN_S = 1.0, 5.0
_ANSWERED: Final = (errors.NotFound, errors.Conflict, errors.Unavailable)


class Backend(Protocol):
    """What the server may query."""

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        """The guest's documents; None: no server here has the address."""

    def post_password(self, network_id: str, address: str, password: str) -> None:
        """Store what the guest posted. :raises errors.NovaLiteError: it was not stored."""


class _Process:
    """The running server. `control` gives it sockets; it queries documents by one channel, and posts passwords by another."""

    def __init__(self, table: str) -> None:
        self.control, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channels, channels = zip(socket.socketpair(), socket.socketpair(), strict=True)
        theirs = [control, *channels]
        numbers = [str(one.fileno()) for one in theirs]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", _PROGRAM, _mark(table), *numbers], pass_fds=[one.fileno() for one in theirs],
            stdin=subprocess.DEVNULL, cwd="/", env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True)
        self.pid = self._process.pid
        self.control.settimeout(_TAKEN_WITHIN_S)
        for one in theirs:
            one.close()

    def give(self, network_id: str, listener: socket.socket) -> None:
        """:raises OSError: it has ended, or takes nothing."""
        socket.send_fds(self.control, [f"open {network_id}".encode()], [listener.fileno()])

    def take(self, network_id: str) -> None:
        """Have it close the network's socket. :raises OSError: it has ended, or takes nothing."""
        self.control.send(f"close {network_id}".encode())

    def end(self) -> int:
        """Its exit status; it gets no time, since it has nothing to lose."""
        self._process.kill()
        status = self._process.wait()
        self.control.close()
        return status


class MetadataServer:
    """Keeps the server of one host, and its sockets by network. Its pid is in `run_directory`."""

    def __init__(self, backend: Backend, *, run_directory: Path) -> None:
        self._backend = backend
        self._table = run_directory.name
        self._pid_file = run_directory / "metadata.pid"
        self._lock = threading.Lock()
        self._listeners: dict[str, socket.socket] = {}
        self._process: _Process | None = None

    def open(self, network_id: str) -> None:
        """Answer in the network's namespace; it must be there."""
        with self._lock:
            if network_id in self._listeners:
                return
            if self._process is None:
                self._end_former()
                self._start()
            self._listeners[network_id] = inside(names.namespace_name(network_id), _listen)
            self._give(network_id)

    def close(self, network_id: str) -> None:
        """Stop answering in the network's namespace."""
        with self._lock:
            listener = self._listeners.pop(network_id, None)
            if listener is None:
                return
            listener.close()
            if self._process is not None:
                with contextlib.suppress(OSError):
                    self._process.take(network_id)

    def close_all(self) -> None:
        """Stop answering everywhere, and end the server, also one that another process has left."""
        with self._lock:
            process, self._process = self._process, None
            for listener in self._listeners.values():
                listener.close()
            self._listeners.clear()
            if process is not None:
                process.end()
            self._end_former()

    def _start(self) -> None:
        """Start a server and give it the sockets that are there; the lock is held."""
        for made in (self._pid_file.parent.parent, self._pid_file.parent):
            made.mkdir(mode=0o711, exist_ok=True)
        process = self._process = _Process(self._table)
        self._pid_file.write_text(str(process.pid))
        for network_id in self._listeners:
            self._give(network_id)
        for channel in process.channels:
            threading.Thread(target=self._serve, args=(process, channel), name="metadata", daemon=True).start()

    def _give(self, network_id: str) -> None:
        assert self._process is not None
        # One that has ended is noticed by the threads that serve it, and another gets all sockets.
        with contextlib.suppress(OSError):
            self._process.give(network_id, self._listeners[network_id])

    def _end_former(self) -> None:
        """End the server of a nova-network that is gone, should it live: it is stopped, or has not noticed yet."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            pid = int(self._pid_file.read_text())
            if has_arguments(pid, [_mark(self._table)]):
                end(pid)
        self._pid_file.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # of other things
            self._pid_file.parent.rmdir()

    def _serve(self, process: _Process, channel: socket.socket) -> None:
        """Answer the server's questions until it ends or sends nonsense; then start another."""
        try:
            with channel, channel.makefile("rwb") as file:
                while question := file.readline(_MAX_QUESTION):
                    file.write(json.dumps(self._answer(*json.loads(question))).encode() + b"\n")
                    file.flush()
        except (OSError, TypeError, ValueError) as error:
            LOG.warning("metadata server: %s", error)
        with self._lock:
            if self._process is not process:
                return
            LOG.error("the metadata server ended with status %d; starting it again", process.end())
            self._process = None
        is_started = False
        while not is_started:
            time.sleep(_RESTARTED_AFTER_S)  # what ended it may come again
            with self._lock:
                is_started = self._process is not None or not self._listeners or self._started()

    def _started(self) -> bool:
        try:
            self._start()
        except OSError as error:
            LOG.error("the metadata server could not be started: %s", error)
            return False
        return True

    def _answer(self, network_id: str, address: str, password: str | None = None) -> dict[str, Any]:
        """`documents`, or the kind and text of an `error`; the server has no rights, so nothing of a question is trusted.

        :raises TypeError: the question is of another form.
        """
        if not isinstance(network_id, str) or not isinstance(address, str) or not isinstance(password, str | None):
            raise TypeError("a question of another form")
        if network_id not in self._listeners:
            return {"documents": None}
        if password is None:
            return {"documents": self._backend.find(network_id, address)}
        try:
            self._backend.post_password(network_id, address, password)
        except errors.NovaLiteError as error:
            kind = next((kind for kind in _ANSWERED if isinstance(error, kind)), errors.Unavailable)
            return {"error": kind.__name__, "text": error.text}
        except Exception:  # the frame of a thread: the server is to get an answer
            LOG.exception("a guest's password could not be stored")
            return {"error": "Unavailable", "text": "The password could not be stored; try again."}
        return {}


def _mark(table: str) -> str:
    """The argument that a server is known by."""
    return f"--table={table}"


def _listen() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((names.METADATA_ADDRESS, _PORT))
    listener.listen(_WAITING)
    return listener
