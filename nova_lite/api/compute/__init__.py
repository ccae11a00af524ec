# SPDX-License-Identifier: Apache-2.0
"""The compute face (osapi_compute): its resources, its microversions and how it words faults."""

from __future__ import annotations

from nova_lite.api.compute import (
    aggregates,
    availability_zones,
    baremetal_nodes,
    console_auth_tokens,
    diagnostics,
    extensions,
    flavor_extra_specs,
    flavors,
    floating_ips,
    gone,
    hosts,
    hypervisors,
    image_metadata,
    image_proxy,
    instance_actions,
    instance_usage_audit_log,
    interfaces,
    keypairs,
    limits,
    migrations,
    networks,
    quota_class_sets,
    quota_sets,
    remote_consoles,
    security_groups,
    server_create,
    server_external_events,
    server_groups,
    server_ips,
    server_lists,
    server_metadata,
    server_password,
    server_security_groups,
    server_shares,
    server_tags,
    server_topology,
    server_views,
    servers,
    services,
    simple_tenant_usage,
    volume_attachments,
    volumes,
)
from nova_lite.api.compute.actions import (
    console,
    fixed_ips,
    images,
    inside,
    lock,
    migrate,
    power,
    rebuild,
    rescue,
    resize,
    shelve,
    soft_delete,
)
from nova_lite.api.compute.actions import floating_ips as floating_ip_actions
from nova_lite.api.compute.actions import security_groups as security_group_actions
from nova_lite.api.compute.faults import fault_body
from nova_lite.api.compute.history import MAXIMUM, MINIMUM
from nova_lite.api.wsgi.versions import Negotiation

__all__ = ["EXTRA_RULES", "NEGOTIATION", "RESOURCES", "fault_body"]

RESOURCES = (
    server_lists, server_create, servers, resize, migrate, remote_consoles, console_auth_tokens, power, lock, console, soft_delete, shelve, inside, fixed_ips,
    images, rebuild, rescue, diagnostics, server_password, server_topology, server_metadata, server_tags, server_ips,
    server_security_groups, security_group_actions, interfaces, floating_ip_actions,
    gone, networks, security_groups, floating_ips, instance_actions, flavors, flavor_extra_specs, keypairs, server_groups, limits, migrations, simple_tenant_usage,
    instance_usage_audit_log, server_external_events, quota_sets, quota_class_sets,
    availability_zones, hypervisors, services, aggregates, hosts, image_proxy, image_metadata,
    baremetal_nodes, server_shares, volume_attachments, volumes, extensions,
)
# Rules that handlers ask about beside those of their routes.
EXTRA_RULES = (*server_lists.RULES, *server_views.RULES, *server_create.RULES, *lock.RULES, *images.RULES, *rebuild.RULES, *instance_actions.RULES, *limits.RULES, *migrations.RULES, *server_topology.RULES, *shelve.RULES,
               *server_groups.RULES, *volume_attachments.RULES)
NEGOTIATION = Negotiation(
    "compute", minimum=MINIMUM, maximum=MAXIMUM, legacy_header="X-OpenStack-Nova-API-Version")
