# SPDX-License-Identifier: Apache-2.0
"""A flavor as a server keeps it: a copy that does not change when the flavor does."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Flavor:
    """`id` is the one that users see, `number` that of migrations before 2.23.

    `root_gb` 0: the root disk is as large as its image, which is `image_gb` then, rounded up. `root_on_volume`: of a server whose root
    disk is a volume, which takes nothing of its host.
    """

    id: str
    name: str
    vcpus: int
    ram_mb: int
    root_gb: int
    ephemeral_gb: int = 0
    swap_mb: int = 0
    extra_specs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    number: int = 0
    image_gb: int = 0
    root_on_volume: bool = False

    @property
    def root_disk_gb(self) -> int:
        """What the root disk takes of its host."""
        return 0 if self.root_on_volume else self.root_gb or self.image_gb

    @property
    def total_gb(self) -> int:
        """What all disks take of their host: root, ephemeral, and swap rounded up."""
        return self.root_disk_gb + self.ephemeral_gb + -(-self.swap_mb // 1024)

    def as_of(self, other: Flavor) -> Flavor:
        """For a server that had `other`, and has its root disk where it was."""
        return dataclasses.replace(self, root_on_volume=other.root_on_volume)

    def with_image_gb(self, size_gb: int) -> Flavor:
        """For an image of this size; nothing changes where the flavor sets the root disk."""
        return self if self.root_gb or self.root_on_volume else dataclasses.replace(self, image_gb=size_gb)

    def to_json(self) -> dict[str, Any]:
        """The form of rows and journals, which release 0.1 reads too."""
        return {"id": self.id, "number": self.number, "name": self.name, "vcpus": self.vcpus, "ram": self.ram_mb,
                "disk": self.root_gb, "ephemeral": self.ephemeral_gb, "swap": self.swap_mb,
                "extra_specs": dict(self.extra_specs), "root_gb": self.root_disk_gb,
                **({"root_on_volume": True} if self.root_on_volume else {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Flavor:
        """The inverse of to_json; of release 0.1, only copies in migrations have `root_gb`."""
        root_gb = int(value["disk"])
        return cls(
            id=str(value["id"]), number=int(value.get("number", 0)), name=str(value["name"]), vcpus=int(value["vcpus"]),
            ram_mb=int(value["ram"]), root_gb=root_gb, ephemeral_gb=int(value["ephemeral"]), swap_mb=int(value["swap"]),
            extra_specs=dict(value["extra_specs"]), image_gb=0 if root_gb else int(value.get("root_gb", 0)),
            root_on_volume=bool(value.get("root_on_volume", False)))
