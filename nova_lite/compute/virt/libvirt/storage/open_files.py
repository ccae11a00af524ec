# SPDX-License-Identifier: Apache-2.0
"""Names under which QEMU opens files of volumes: of their own, as it opens a file again by its name, and another may be in its place.

A pool of qcow2 files puts an overlay in the place of a volume that a snapshot is made of. QEMU, which is to read the old file
only from then on, opens it anew: by the volume's own name it would get the overlay, and the guest zeros.
"""

from __future__ import annotations

import os
from pathlib import Path

from nova_lite.values.guest_disk import VolumeConnection

_PREFIX = ".open-"
_TRIES = 5


def path_of(volume: VolumeConnection) -> Path | None:
    """The volume's file on this host; None: it has none."""
    path = volume.data.get("device_path") if volume.type == "local" else None
    return Path(str(path)) if path else None


def is_replaced(volume: VolumeConnection) -> bool:
    """Whether another file may come in the place of the volume's."""
    return path_of(volume) is not None and volume.data.get("format") == "qcow2"


def link(path: Path) -> Path:
    """A name of the file that is at `path` now, beside it, by which QEMU may open it; the same file has the same one.

    The path itself where there is no such file yet, or the worker may make no links there.
    """
    for _ in range(_TRIES):
        try:
            name = path.with_name(f"{_PREFIX}{path.stat().st_ino}.{path.name}")
            if not name.exists():
                os.link(path, name)
            if name.stat().st_ino == path.stat().st_ino:
                return name
            name.unlink()  # the pool replaced it meanwhile
        except FileExistsError:
            continue
        except OSError:
            break
    return path


def is_link(path: Path) -> bool:
    """Whether it is a name that `link` gave."""
    return path.name.startswith(_PREFIX)


def forget(volume: VolumeConnection) -> None:
    """Remove the names of all files that the volume has had, none of which a guest has open; none is fine."""
    path = path_of(volume)
    if path is not None and is_replaced(volume):
        for name in path.parent.glob(f"{_PREFIX}*.{path.name}"):
            name.unlink(missing_ok=True)
