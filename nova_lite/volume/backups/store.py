# SPDX-License-Identifier: Apache-2.0
"""What a store of backups promises: objects by name, each whole or not there."""

from __future__ import annotations

from typing import Protocol


class StoreFailed(Exception):
    """The text is what is wrong with a store, or with a backup in it."""


class Store(Protocol):
    """Objects by their keys: parts of letters, digits, `-` and `_` with a slash in between. Safe for threads.

    Each method raises StoreFailed when the store does not do it, and OSError when a file cannot be written.
    """

    def put(self, key: str, content: bytes) -> None:
        """Keep the object, in place of one of that key; it survives a power cut when this returns."""

    def get(self, key: str, *, max_bytes: int) -> bytes | None:
        """The object; None: there is none. One that is larger than `max_bytes` is refused."""

    def delete(self, key: str) -> None:
        """Remove the object; none is fine."""

    def clear(self, prefix: str) -> None:
        """Remove all objects below that key, and what a crash left of others; nobody writes there meanwhile."""

    def keys(self, prefix: str) -> list[str]:
        """The keys of the objects below that one, in order; empty: of all."""
