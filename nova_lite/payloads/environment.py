# SPDX-License-Identifier: Apache-2.0
"""What payloads have of the cloud beside rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

from nova_lite.values.image_grant import ImageGrant


class ImageToken(Protocol):
    """Issues a token for what a host is granted, on behalf of a project."""

    def __call__(self, grant: ImageGrant, *, project_id: str) -> str: ...


@dataclasses.dataclass(frozen=True)
class Environment:
    """What payloads have of the cloud: `image_token` issues a short-lived token with which a worker fetches or stores
    one image's data; `open_secret` reads what `seal_secret` gave: an action's password, an attachment's connection.
    """

    dns_domain: str
    public_url: str
    image_token: ImageToken
    open_secret: Callable[[str], str | None]
    seal_secret: Callable[[str], str]
