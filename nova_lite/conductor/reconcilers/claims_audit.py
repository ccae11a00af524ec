# SPDX-License-Identifier: Apache-2.0
"""Compares the sums of claims that hosts' rows have with the claims, and repairs those that differ."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.db.hosts import claims

LOG = logging.getLogger(__name__)


def repair(services: Services) -> None:
    """One query over all hosts; only those that look wrong are locked and compared again."""
    with services.database.reader() as session:
        suspects = claims.inconsistent_hosts(session)
    for suspect in suspects:
        with services.database.writer() as session:
            repaired = claims.repair_sums(session, suspect.host)
        if repaired is not None:
            LOG.warning("host %s: its sums of claims were %s and are repaired to %s", repaired.host, repaired.row, repaired.claims)
