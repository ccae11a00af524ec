# SPDX-License-Identifier: Apache-2.0
"""Finds hosts that missed a push of network state: each compares its revisions of groups and networks with the rows'."""

from __future__ import annotations

from nova_lite.conductor import network_sync
from nova_lite.conductor.engine.services import Services


def resync(services: Services) -> None:
    """Send each host the revisions that it should have, a number for each of its groups and networks."""
    network_sync.check_revisions(services)
