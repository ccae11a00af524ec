# SPDX-License-Identifier: Apache-2.0
"""The manifest of a backup: which chunks its volume had, and which backup's objects they are in."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from typing import Any

from nova_lite.volume.backups.store import StoreFailed

CHUNK_BYTES = 4 << 20
_FORMAT = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


@dataclasses.dataclass(frozen=True)
class Chunk:
    """`digest`: SHA-256 of its bytes; `backup_id`: the backup that stored it, this one or one that it adds to."""

    digest: str
    backup_id: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """`size` in bytes of the volume; `chunks` in order, of CHUNK_BYTES each but the last; None: zeros. `parent_id` empty: a full backup."""

    backup_id: str
    volume_id: str
    parent_id: str
    size: int
    chunks: tuple[Chunk | None, ...]

    @property
    def digest(self) -> str:
        """The same for the same content only."""
        return _digest(self._fields())

    @property
    def own(self) -> frozenset[str]:
        """Digests of the chunks that this backup stored itself."""
        return frozenset(chunk.digest for chunk in self.chunks if chunk is not None and chunk.backup_id == self.backup_id)

    def length(self, number: int) -> int:
        """Bytes of that chunk."""
        return min(CHUNK_BYTES, self.size - number * CHUNK_BYTES)

    def encode(self) -> bytes:
        fields = self._fields()
        return json.dumps({"digest": _digest(fields), **fields}).encode()

    def _fields(self) -> dict[str, Any]:  # JSON
        ids = sorted({chunk.backup_id for chunk in self.chunks if chunk is not None})
        numbers = {backup_id: number for number, backup_id in enumerate(ids)}
        return {
            "format": _FORMAT, "backup_id": self.backup_id, "volume_id": self.volume_id, "parent_id": self.parent_id, "size": self.size,
            "chunk_bytes": CHUNK_BYTES, "backups": ids,
            "chunks": [None if chunk is None else [numbers[chunk.backup_id], chunk.digest] for chunk in self.chunks]}


def decode(content: bytes) -> Manifest:
    """:raises StoreFailed: it is damaged, or a later release's."""
    try:
        fields = json.loads(content)
        digest = fields.pop("digest")
        if fields["format"] != _FORMAT or fields["chunk_bytes"] != CHUNK_BYTES:
            raise StoreFailed(f"its manifest has format {fields['format']}, which this release does not know")
        if digest != _digest(fields):
            raise StoreFailed("its manifest is damaged: the digest differs")
        ids = fields["backups"]
        found = Manifest(
            backup_id=fields["backup_id"], volume_id=fields["volume_id"], parent_id=fields["parent_id"], size=fields["size"],
            chunks=tuple(None if one is None else Chunk(digest=one[1], backup_id=ids[one[0]]) for one in fields["chunks"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise StoreFailed(f"its manifest cannot be read: {error!r}") from error
    _check(found)
    return found


def _check(found: Manifest) -> None:
    """:raises StoreFailed: it is none that this release wrote."""
    if not isinstance(found.size, int) or len(found.chunks) != -(-found.size // CHUNK_BYTES):
        raise StoreFailed("its manifest has too few or too many chunks")
    for chunk in found.chunks:
        if chunk is not None and not (_DIGEST.fullmatch(chunk.digest) and _ID.fullmatch(chunk.backup_id)):
            raise StoreFailed("its manifest names a chunk that cannot be one")


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
