# SPDX-License-Identifier: Apache-2.0
"""A worker's durable records: one JSON file for each resource, written before the host is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from oslo_log import log as logging

from nova_lite.worker import files

LOG = logging.getLogger(__name__)


class RecordFiles:
    """The files of one kind of record in `directory`, named by the resource's id and `suffix`.

    Not locked: the caller serialises writers of one id. `is_durable` as in `files.replace`.
    """

    def __init__(self, directory: Path, *, suffix: str = "", is_durable: bool = True) -> None:
        self._directory, self._suffix, self._is_durable = directory, suffix, is_durable

    def open(self) -> None:
        """Make the directory, readable by its owner alone, and remove what a crash left half written."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.remove_partial(self._directory)

    def read(self) -> Iterator[tuple[str, object]]:
        """Id and content of each record; a file that cannot be read is logged and kept."""
        for path in self._paths():
            try:
                yield self._id(path), json.loads(path.read_text())
            except (OSError, ValueError) as error:
                LOG.warning("record %s cannot be read: %s", path, error)

    def write(self, resource_id: str, content: object) -> None:
        """Replace the record by `content`, plain JSON types; it is on disk when this returns.

        :raises OSError: it cannot be written; the record is as before.
        """
        files.replace(self._path(resource_id), json.dumps(content), is_durable=self._is_durable)

    def remove(self, resource_id: str) -> None:
        """Remove the record; none is fine."""
        self._path(resource_id).unlink(missing_ok=True)

    def older_than(self, limit: float) -> list[str]:
        """Ids of records last written before `limit`, seconds since 1970."""
        return [self._id(path) for path in self._paths() if path.stat().st_mtime < limit]

    def _paths(self) -> list[Path]:
        return sorted(path for path in self._directory.glob(f"*{self._suffix}") if not path.name.endswith(files.PARTIAL))

    def _path(self, resource_id: str) -> Path:
        return self._directory / f"{resource_id}{self._suffix}"

    def _id(self, path: Path) -> str:
        return path.name.removesuffix(self._suffix)
