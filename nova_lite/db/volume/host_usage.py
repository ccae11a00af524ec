# SPDX-License-Identifier: Apache-2.0
"""What projects have on each backend."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.orm import Session

from nova_lite.db.volume.snapshots import VolumeSnapshot
from nova_lite.db.volume.volumes import Volume


class HostUsage(NamedTuple):
    """Volumes and snapshots, and their sizes together in GiB."""

    volumes: int
    volumes_gb: int
    snapshots: int
    snapshots_gb: int


def by_project(session: Session, backend: str) -> dict[str, HostUsage]:
    """Usage of the backend `worker@backend`, or of a worker without one, by project. Two queries."""
    is_there = sa.or_(Volume.host == backend, Volume.host.startswith(f"{backend}#", autoescape=True))
    of_volumes = _counted(sa.select(Volume.project_id, sa.func.count(), sa.func.sum(Volume.size_gb)).where(is_there).group_by(Volume.project_id), session)
    of_snapshots = _counted(
        sa.select(VolumeSnapshot.project_id, sa.func.count(), sa.func.sum(VolumeSnapshot.size_gb))
        .join(Volume, Volume.id == VolumeSnapshot.volume_id).where(is_there).group_by(VolumeSnapshot.project_id), session)
    return {project: HostUsage(*of_volumes.get(project, (0, 0)), *of_snapshots.get(project, (0, 0)))
            for project in {*of_volumes, *of_snapshots}}


def _counted(query: Any, session: Session) -> dict[str, tuple[int, int]]:  # SQLAlchemy types a query by its columns
    return {project: (int(count), int(size_gb)) for project, count, size_gb in session.execute(query)}
