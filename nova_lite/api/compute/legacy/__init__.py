# SPDX-License-Identifier: Apache-2.0
"""Proxies to other services, and APIs that Nova removed."""

from nova_lite.api.compute.legacy import (
    extensions,
    floating_ips,
    image_metadata,
    image_proxy,
    networks,
    removed_apis,
    security_groups,
    volumes,
)

RESOURCES = (
    extensions,
    floating_ips,
    image_metadata,
    image_proxy,
    networks,
    removed_apis,
    security_groups,
    volumes,
)
