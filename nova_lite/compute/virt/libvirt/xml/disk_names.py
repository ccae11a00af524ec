# SPDX-License-Identifier: Apache-2.0
"""Names of disks, vda, sdb and so on: as they are requested, else the next free one of the bus."""

from __future__ import annotations

import itertools
import string
from collections.abc import Collection, Iterator, Sequence

_PREFIX = {"virtio": "vd", "ide": "hd"}


def prefix_of(bus: str) -> str:
    return _PREFIX.get(bus, "sd")


def number_of(name: str) -> int:
    """Of a disk among those of its prefix: 0 for vda, 26 for vdaa."""
    number = 0
    for letter in name[2:]:
        number = number * 26 + string.ascii_lowercase.index(letter) + 1
    return number - 1


def choose(bus: str, *, requested: str | None, taken: Collection[str]) -> str:
    """The name as requested, like /dev/vdb, if it is one of the bus and free; else the first that is."""
    prefix = prefix_of(bus)
    name = (requested or "").removeprefix("/dev/")
    if _is_name(name, prefix) and name not in taken:
        return name
    return next(free for free in _names(prefix) if free not in taken)


def assign(disks: Sequence[tuple[str, str | None]]) -> list[str]:
    """Names of disks, each with its bus and the name requested. The first disk, which is booted, is before all others of its bus."""
    names: dict[int, str] = {}
    order = [0, *(number for number, (_, requested) in enumerate(disks) if number and requested),
             *(number for number, (_, requested) in enumerate(disks) if number and not requested)]
    for number in order if disks else ():
        bus, requested = disks[number]
        names[number] = choose(bus, requested=requested if number else None, taken=names.values())
    return [names[number] for number in range(len(disks))]


def _is_name(name: str, prefix: str) -> bool:
    letters = name.removeprefix(prefix)
    return name.startswith(prefix) and 1 <= len(letters) <= 2 and all(letter in string.ascii_lowercase for letter in letters)


def _names(prefix: str) -> Iterator[str]:
    for length in itertools.count(1):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield prefix + "".join(letters)
