# SPDX-License-Identifier: Apache-2.0
"""The compute face (osapi_compute): its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.compute.common.faults import fault_body
from nova_lite.api.compute.consoles import console_auth_tokens, remote_consoles
from nova_lite.api.compute.flavors import extra_specs, flavors
from nova_lite.api.compute.hosts import aggregates, availability_zones, baremetal_nodes, hosts, hypervisors, services
from nova_lite.api.compute.keypairs import keypairs
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
from nova_lite.api.compute.microversions import MAXIMUM, MINIMUM
from nova_lite.api.compute.quotas import (
    instance_usage_audit_log,
    limits,
    quota_class_sets,
    quota_sets,
    simple_tenant_usage,
)
from nova_lite.api.compute.servers import create, external_events, groups, listing, update, views
from nova_lite.api.compute.servers.actions import (
    console,
    fixed_ips,
    guest_agent,
    images,
    lock,
    migrate,
    power,
    rebuild,
    rescue,
    resize,
    shelve,
    soft_delete,
)
from nova_lite.api.compute.servers.actions import floating_ips as floating_ip_actions
from nova_lite.api.compute.servers.actions import security_groups as security_group_actions
from nova_lite.api.compute.servers.subresources import (
    diagnostics,
    instance_actions,
    interfaces,
    ips,
    metadata,
    migrations,
    password,
    shares,
    tags,
    topology,
    volume_attachments,
)
from nova_lite.api.compute.servers.subresources import security_groups as server_security_groups
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body"]

RESOURCES = (
    listing, create, update, resize, migrate, remote_consoles, console_auth_tokens, power, lock, console, soft_delete, shelve, guest_agent, fixed_ips,
    images, rebuild, rescue, diagnostics, password, topology, metadata, tags, ips,
    server_security_groups, security_group_actions, interfaces, floating_ip_actions,
    removed_apis, networks, security_groups, floating_ips, instance_actions, flavors, extra_specs, keypairs, groups, limits, migrations, simple_tenant_usage,
    instance_usage_audit_log, external_events, quota_sets, quota_class_sets,
    availability_zones, hypervisors, services, aggregates, hosts, image_proxy, image_metadata,
    baremetal_nodes, shares, volume_attachments, volumes, extensions,
)
# Rules that handlers ask about beside those of their routes.
EXTRA_RULES = (*listing.RULES, *views.RULES, *create.RULES, *lock.RULES, *images.RULES, *rebuild.RULES, *instance_actions.RULES, *limits.RULES, *migrations.RULES, *topology.RULES, *shelve.RULES,
               *groups.RULES, *volume_attachments.RULES)
NEGOTIATION = Negotiation(
    "compute", minimum=MINIMUM, maximum=MAXIMUM, legacy_header="X-OpenStack-Nova-API-Version")
