# SPDX-License-Identifier: Apache-2.0
"""All tables: one file is one resource, its model and every query on it."""

from nova_lite.db import (
    actions,
    flavors,
    hosts,
    images,
    keypairs,
    networks,
    ports,
    quotas,
    security_groups,
    servers,
    users,
)

RESOURCES = (actions, flavors, hosts, images, keypairs, networks, ports, quotas, security_groups, servers, users)
