# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: entered by a thread of this process, or by a program that it runs."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from nova_lite.worker import commands

_T = TypeVar("_T")
_DIRECTORY = Path("/run/netns")  # where iproute2 keeps them
_CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns came with Python 3.12 only
_libc = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    """Whether the namespace is there and alive; a name left without its mount does not count."""
    try:
        # The file under a lost mount is an ordinary one, on another device than namespaces are.
        return os.stat(_DIRECTORY / name).st_dev == os.stat("/proc/self/ns/net").st_dev
    except FileNotFoundError:
        return False


def names() -> list[str]:
    """All that are there, of whatever owner."""
    return sorted(path.name for path in _DIRECTORY.iterdir()) if _DIRECTORY.exists() else []


def leftover(name: str) -> bool:
    """Whether the name is there without a namespace: a crash between the two."""
    return (_DIRECTORY / name).exists() and not exists(name)


def inside(name: str, work: Callable[[], _T]) -> _T:
    """What `work` returns, done by a thread in the namespace; sockets and children it makes stay there.

    :raises OSError: there is no such namespace, or no right to enter it.
    """
    results: list[_T] = []
    failures: list[BaseException] = []
    caller = threading.get_native_id()

    def enter() -> None:
        try:
            if threading.get_native_id() == caller:  # a green thread would take the whole daemon along
                raise RuntimeError("network namespaces need native threads: run this service with concurrency=threads")
            _enter(name)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the caller, below
            failures.append(error)

    thread = threading.Thread(target=enter, name=f"in-{name[:12]}")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]


def run(arguments: Sequence[str], *, stdin: str = "", namespace: str | None = None, timeout_s: float = 20) -> str:
    """What the program prints; it runs in the network namespace `namespace`, None: the daemon's own.

    :raises commands.CommandFailed: exit status other than 0, or `timeout_s` is over.
    """
    if namespace is None:
        return commands.run(arguments, stdin=stdin, timeout_s=timeout_s)
    return inside(namespace, lambda: commands.run(arguments, stdin=stdin, timeout_s=timeout_s))


def _enter(name: str) -> None:
    """Move this thread, and it alone, into the namespace; it cannot be used for anything else afterwards."""
    handle = os.open(_DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, _CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), name)
    finally:
        os.close(handle)


def set_kernel(settings: dict[str, str]) -> None:
    """Write `/proc/sys/net` settings (`ipv4/ip_forward`) of the namespace that the calling thread is in."""
    for name, value in settings.items():
        path = Path("/proc/sys/net") / name
        if path.read_text().strip() != value:
            path.write_text(value)
