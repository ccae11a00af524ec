# SPDX-License-Identifier: Apache-2.0
"""Several endpoints of a daemon as one."""

from __future__ import annotations

from typing import Any


class Together:
    """Several endpoints as the one client that their interface promises."""

    def __init__(self, *endpoints: object) -> None:
        self._endpoints = endpoints

    def __getattr__(self, name: str) -> Any:
        return next(getattr(endpoint, name) for endpoint in self._endpoints if hasattr(endpoint, name))
