# SPDX-License-Identifier: Apache-2.0
"""What `POST /servers/{server_id}/action` does: one module per family of actions."""

from nova_lite.api.compute.servers.actions import (
    console,
    fixed_ips,
    floating_ips,
    guest_agent,
    images,
    lock,
    migrate,
    power,
    rebuild,
    rescue,
    resize,
    security_groups,
    shelve,
    soft_delete,
)

RESOURCES = (
    console,
    fixed_ips,
    floating_ips,
    guest_agent,
    images,
    lock,
    migrate,
    power,
    rebuild,
    rescue,
    resize,
    security_groups,
    shelve,
    soft_delete,
)
# Rules that handlers check beside those of their routes.
EXTRA_RULES = (
    *images.RULES,
    *lock.RULES,
    *rebuild.RULES,
    *shelve.RULES,
)
