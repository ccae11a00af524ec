# SPDX-License-Identifier: Apache-2.0
"""Amounts of what hosts have and servers take, added, subtracted and compared as one value."""

from __future__ import annotations

import dataclasses
from typing import Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """`vcpus` are shared between guests, `pcpus` dedicated to one guest each; `hugepages_mb` is part of `ram_mb`.

    `disk_gb` counts root, ephemeral and swap disks. Differences may be negative.
    """

    vcpus: int = 0
    ram_mb: int = 0
    disk_gb: int = 0
    pcpus: int = 0
    hugepages_mb: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(**{name: amount + getattr(other, name) for name, amount in self.amounts().items()})

    def __sub__(self, other: Resources) -> Resources:
        return Resources(**{name: amount - getattr(other, name) for name, amount in self.amounts().items()})

    def fits_in(self, free: Resources) -> bool:
        """Whether `free` has at least as much of each; nothing of a resource fits also where less than nothing is free."""
        return not self.lacking_in(free)

    def lacking_in(self, free: Resources) -> list[str]:
        """The names of the resources that `free` has too little of."""
        return [name for name, amount in self.amounts().items() if amount > max(0, getattr(free, name))]

    def larger_of(self, other: Resources) -> Resources:
        """Of each resource the larger amount."""
        return Resources(**{name: max(amount, getattr(other, name)) for name, amount in self.amounts().items()})

    def smaller_of(self, other: Resources) -> Resources:
        """Of each resource the smaller amount."""
        return Resources(**{name: min(amount, getattr(other, name)) for name, amount in self.amounts().items()})

    def replace(self, **amounts: int) -> Self:
        """The same with other amounts of these."""
        return dataclasses.replace(self, **amounts)

    def amounts(self) -> dict[str, int]:
        """By name, in the order of the fields."""
        return {"vcpus": self.vcpus, "ram_mb": self.ram_mb, "disk_gb": self.disk_gb, "pcpus": self.pcpus,
                "hugepages_mb": self.hugepages_mb}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AllocationRatios:
    """How many times its CPUs, memory and disk a host may allocate; dedicated CPUs and huge pages are never overcommitted."""

    cpu: float = 1.0
    ram: float = 1.0
    disk: float = 1.0

    def capacity(self, inventory: Resources) -> Resources:
        """What of the inventory may be allocated, rounded down."""
        return inventory.replace(vcpus=int(inventory.vcpus * self.cpu), ram_mb=int(inventory.ram_mb * self.ram),
                                 disk_gb=int(inventory.disk_gb * self.disk))
