# SPDX-License-Identifier: Apache-2.0
"""Proxies to other services, and APIs that Nova removed."""

from nova_lite.api.compute.legacy import (
    assisted_volume_snapshots,
    extensions,
    floating_ips,
    image_metadata,
    image_proxy,
    networks,
    removed_apis,
    security_groups,
    snapshots,
    volumes,
)

RESOURCES = (
    assisted_volume_snapshots,
    extensions,
    floating_ips,
    image_metadata,
    image_proxy,
    networks,
    removed_apis,
    security_groups,
    snapshots,
    volumes,
)
