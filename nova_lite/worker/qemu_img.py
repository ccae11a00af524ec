# SPDX-License-Identifier: Apache-2.0
"""Runs qemu-img, whose parsers read what users and guests have written: without rights, and bounded in all that it uses.

It may open the files that it is given, by descriptor, and nothing else: a header that names other files is not followed,
and a backing file is the one that the caller says.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nova_lite.worker import commands

# Limits on a hostile file, as in Nova and Cinder.
_SHORT = commands.Limits(memory_mb=1024, cpu_s=30, file_bytes=0)
_CONVERT_MEMORY_MB = 4096
_SLACK_BYTES = 1 << 20  # qemu-img rounds sizes up
_TABLES_BYTES = 4 << 20  # of a qcow2 file without data

Check = Callable[[], None]
# What an overlay is on: a raw file, or qcow2 files, the nearest first; None: nothing.
Backing = Path | tuple[Path, ...] | None


def virtual_size(path: Path, disk_format: str, *, has_backing: bool = False, check: Check | None = None) -> int:
    """Bytes of the disk that the file describes.

    :raises commands.CommandFailed: it is damaged, or refers to another file than the backing file that it may have.
    """
    with path.open("rb") as file:
        number = file.fileno()
        printed = _run("info", ["--output=json", _image(number, disk_format)], given=[number], check=check)
    facts = json.loads(printed)
    more = facts.get("format-specific", {}).get("data", {})
    if more.get("data-file") or ("backing-filename" in facts and not has_backing):
        raise commands.CommandFailed("qemu-img", "the file refers to another file")
    return int(facts["virtual-size"])


def convert(
    source: Path, target: Path, *, formats: tuple[str, str], size: int, timeout_s: float, backing: Backing = None,
    check: Check | None = None,
) -> None:
    """Write the whole disk, of `size` bytes, from one format into the other; `backing`: what it is an overlay on.

    :raises commands.CommandFailed: it is damaged, or more than it says.
    """
    with contextlib.ExitStack() as stack:
        read, made = stack.enter_context(source.open("rb")), stack.enter_context(target.open("wb"))
        below = _opened(stack, backing)
        tables = (size >> 8) + _TABLES_BYTES if formats[1] == "qcow2" else 0
        _run(
            "convert", ["-O", formats[1], "-t", "writeback", _image(read.fileno(), formats[0], below), f"/dev/fd/{made.fileno()}"],
            given=[read.fileno(), made.fileno()], shared=[number for number, _ in below], check=check,
            limits=commands.Limits(memory_mb=_CONVERT_MEMORY_MB, cpu_s=int(timeout_s), file_bytes=size + tables + _SLACK_BYTES))


def resize(path: Path, size: int, *, backing: Backing) -> None:
    """Let the qcow2 file, an overlay on `backing`, describe a disk of `size` bytes.

    :raises commands.CommandFailed: it is damaged.
    """
    with path.open("r+b") as file, contextlib.ExitStack() as stack:
        below = _opened(stack, backing)
        _run("resize", ["-q", _image(file.fileno(), "qcow2", below), str(size)], given=[file.fileno()],
             shared=[number for number, _ in below], limits=dataclasses.replace(_SHORT, file_bytes=path.stat().st_size + _TABLES_BYTES))


def make_overlay(path: Path, size: int, *, backing: Path) -> None:
    """Make the file, which exists, an overlay of `size` bytes on the raw file `backing`.

    :raises OSError: there is no such backing file.
    """
    backing.stat()
    with path.open("r+b") as file:
        _run("create", ["-q", "-u", "-f", "qcow2", "-F", "raw", "-b", str(backing), f"/dev/fd/{file.fileno()}", str(size)],
             given=[file.fileno()], limits=dataclasses.replace(_SHORT, file_bytes=_TABLES_BYTES))


def log_in(target: dict[str, Any], *, password: str | None, timeout_s: float) -> None:
    """Open a disk of an iSCSI target as QEMU will, `target` being its options of the driver iscsi, and close it.

    :raises commands.CommandFailed: the target does not answer within `timeout_s`, or refuses.
    """
    options: dict[str, Any] = {"driver": "iscsi", "transport": "tcp", **target}
    arguments, given = [], list[int]()
    with contextlib.ExitStack() as stack:
        if password is not None:  # in a file in memory: arguments are shown to all users of the host
            secret = stack.enter_context(open(os.memfd_create("secret"), "w+"))
            secret.write(password)
            secret.flush()
            given.append(secret.fileno())
            options["password-secret"] = "chap"  # no password: the name of an object
            arguments = ["--object", f"secret,id=chap,file=/dev/fd/{secret.fileno()}"]
        image = "json:" + json.dumps({"driver": "raw", "file": options})
        limits = dataclasses.replace(_SHORT, memory_mb=None)
        commands.run(["qemu-img", "info", *arguments, image], timeout_s=timeout_s, limits=limits, confined_to=given)


def make_qcow2(path: Path, size: int, *, backing_name: str = "") -> None:
    """Make the file, which exists, a qcow2 image of `size` bytes: empty, or an overlay on the qcow2 file of that name beside it."""
    below = ["-F", "qcow2", "-b", backing_name] if backing_name else []
    with path.open("r+b") as file:
        _run("create", ["-q", "-u", "-f", "qcow2", *below, f"/dev/fd/{file.fileno()}", str(size)],
             given=[file.fileno()], limits=dataclasses.replace(_SHORT, file_bytes=_TABLES_BYTES))


def _opened(stack: contextlib.ExitStack, backing: Backing) -> list[tuple[int, str]]:
    """Descriptor and format of each file below an overlay, the nearest first."""
    paths = (backing,) if isinstance(backing, Path) else backing or ()
    disk_format = "raw" if isinstance(backing, Path) else "qcow2"
    return [(stack.enter_context(path.open("rb")).fileno(), disk_format) for path in paths]


def _image(number: int, disk_format: str, below: Sequence[tuple[int, str]] = ()) -> str:
    """How qemu-img opens the descriptor, whatever the header says of other files."""
    opened: dict[str, Any] | None = None
    for nearer, its_format in [*reversed(below), (number, disk_format)]:
        opened = {"driver": its_format, "file": _file(nearer)} | ({"backing": opened} if its_format == "qcow2" else {})
    return "json:" + json.dumps(opened)


def _file(number: int) -> dict[str, Any]:
    return {"driver": "file", "filename": f"/dev/fd/{number}"}


def _run(
    action: str, arguments: Sequence[str], *, given: Sequence[int], shared: Sequence[int] = (), limits: commands.Limits = _SHORT,
    check: Check | None = None,
) -> str:
    """`given`: descriptors of files that are qemu-img's alone for the while; `shared`: of those that anyone may read."""
    assert limits.cpu_s is not None
    return commands.run(
        ["qemu-img", action, *arguments], timeout_s=limits.cpu_s, limits=limits, confined_to=given, readable=shared, check=check)
