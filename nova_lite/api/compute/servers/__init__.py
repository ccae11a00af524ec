# SPDX-License-Identifier: Apache-2.0
"""Servers: create, list, show, change, delete."""

from nova_lite.api.compute.servers import (
    create,
    external_events,
    groups,
    listing,
    update,
    views,
)

RESOURCES = (
    create,
    external_events,
    groups,
    listing,
    update,
)
# Rules that handlers check beside those of their routes.
EXTRA_RULES = (
    *create.RULES,
    *groups.RULES,
    *listing.RULES,
    *views.RULES,
)
