# SPDX-License-Identifier: Apache-2.0
"""Makes the disk that carries a guest's metadata to it without a network."""

from __future__ import annotations

import shutil
from pathlib import Path

from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.values.instance_metadata import to_bytes


def make(documents: dict[str, str], path: Path) -> None:
    """An ISO 9660 disk labelled config-2 with `documents`, path to text, byte for byte.

    :raises ValueError: a path that leaves the disk.
    """
    tree = path.with_name(f"{path.name}.tree{disks.PART}")
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(mode=0o700)
    try:
        for name, text in documents.items():
            target = (tree / name).resolve()
            if not target.is_relative_to(tree.resolve()):
                raise ValueError(f"document {name!r} is not below the config drive's root")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(to_bytes(text))
        # Made anew each time: the documents may have changed since a build that was cut off.
        path.unlink(missing_ok=True)
        disks.make_file(path, lambda part: disks.run([
            "genisoimage", "-quiet", "-o", str(part), "-J", "-R", "-l", "-ldots", "-allow-lowercase", "-allow-multidot",
            "-V", "config-2", "-publisher", "nova_lite", str(tree)]))
    finally:
        shutil.rmtree(tree, ignore_errors=True)
