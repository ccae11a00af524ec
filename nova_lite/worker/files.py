# SPDX-License-Identifier: Apache-2.0
"""Files that survive a crash whole: replaced at once, and on the disk before the caller goes on."""

from __future__ import annotations

import os
import threading
from pathlib import Path

PARTIAL = ".tmp"


def replace(path: Path, text: str, *, is_durable: bool = True) -> None:
    """Write the file, mode 0600: a crash leaves the old or the new text, whole. A failed write leaves nothing new.

    `is_durable` False leaves out fsync: enough against a crash of the process, not of the machine.

    :raises OSError: it cannot be written; `filename` of the error is `path`.
    """
    partial = path.with_name(f"{path.name}.{threading.get_native_id()}{PARTIAL}")
    try:
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
            stream.write(text)
            if is_durable:
                stream.flush()
                os.fsync(stream.fileno())
        partial.rename(path)
        if is_durable:
            sync_directory(path.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Have a file's bytes on the disk before anything refers to it."""
    _sync(path, os.O_RDONLY)


def sync_directory(path: Path) -> None:
    """Make renames and removals in a directory survive a power cut."""
    _sync(path, os.O_RDONLY | os.O_DIRECTORY)


def remove_partial(directory: Path) -> None:
    """Remove what a crash left half written; only while no thread writes there."""
    for path in directory.glob(f"*{PARTIAL}"):
        path.unlink(missing_ok=True)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
