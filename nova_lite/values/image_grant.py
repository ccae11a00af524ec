# SPDX-License-Identifier: Apache-2.0
"""What a host's token for the image service is good for."""

from __future__ import annotations

import dataclasses
import enum


class Access(enum.StrEnum):
    """What a host may do with an image's data."""

    READ = "read"
    WRITE = "write"


@dataclasses.dataclass(frozen=True)
class ImageGrant:
    """One host may read, or write, the data of one image."""

    image_id: str
    access: Access
    host: str

    def allows(self, method: str, path: str) -> bool:
        """Whether it is good for this request; `path` below the image service's root."""
        methods = ("GET", "HEAD") if self.access is Access.READ else ("PUT",)
        return method in methods and path == f"/images/{self.image_id}/file"
