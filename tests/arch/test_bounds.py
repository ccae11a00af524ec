# SPDX-License-Identifier: Apache-2.0
"""Every table says what keeps a tenant from filling it: a quota, another bound, or that only operators add rows."""

from __future__ import annotations

import nova_lite.db  # noqa: F401 - registers the tables
from nova_lite.conf import default, identity, quota
from nova_lite.db.base import Base

_OPERATORS = "operators add rows"
_WITH = "as long as its server, port or network, and a fixed number for each"
# A quota's option, or why there is an end. To a new table belongs a line here, and a test that exceeds the bound.
BOUNDS = {
    "action_events": "steps of a kept action", "actions": "the newest 1,000 of a resource, and of volumes the last days': conductor/reconcilers/purge.py",
    "addresses": "5 of a port", "aggregate_hosts": _OPERATORS, "aggregates": _OPERATORS,
    "application_credential_roles": "64 of a credential", "application_credentials": "application_credentials_per_user",
    "claims": _WITH, "conductor_leases": _OPERATORS, "console_tokens": "[consoleauth] max_tokens_per_project",
    "database_epoch": _OPERATORS, "default_volume_types": _OPERATORS, "domains": _OPERATORS, "flavors": _OPERATORS, "floating_ips": "floating_ips",
    "heartbeat_observation": _OPERATORS, "hosts": _OPERATORS, "images": "image_count_total", "keypairs": "key_pairs",
    "moves": "the newest 100 of a server: conductor/reconcilers/purge.py", "network_changes": "until a conductor has pushed it",
    "network_revisions": _WITH, "networks": "networks", "port_security_groups": "100 of a port", "ports": "ports",
    "project_tags": _OPERATORS, "projects": _OPERATORS, "qos_specs": _OPERATORS, "quota_classes": _OPERATORS, "quota_locks": "one of a project, user or network",
    "quotas": _OPERATORS, "revoked_tokens": "10,000 of a user: db/identity/token_owners.py", "role_assignments": _OPERATORS,
    "roles": _OPERATORS, "routers": "routers", "security_group_rules": "security_group_rules", "security_groups": "security_groups",
    "server_groups": "server_groups", "servers": "instances", "services": _OPERATORS, "subnets": "subnets", "user_quotas": _OPERATORS,
    "users": _OPERATORS, "volume_attachments": "the disks of a server; of a volume one, with multiattach 100", "volume_backends": _OPERATORS, "volume_backups": "quota_backups", "volume_group_snapshots": "its snapshots count in quota_snapshots", "volume_group_types": _OPERATORS, "volume_groups": "quota_groups",
    "volume_messages": "the newest 1,000 of a project: db/volume/messages.py", "volume_pools": _OPERATORS,
    "volume_quota_classes": _OPERATORS, "volume_quotas": _OPERATORS, "volume_snapshots": "quota_snapshots",
    "volume_type_encryptions": _OPERATORS, "volume_type_projects": _OPERATORS, "volume_types": _OPERATORS, "volume_transfers": "one of a volume", "volumes": "quota_volumes",
    "workers": _OPERATORS,
}
OPTIONS = {option.name for option in (*quota.OPTIONS, *identity.OPTIONS, *default.OPTIONS)}


def test_every_table_has_a_bound() -> None:
    assert BOUNDS.keys() == Base.metadata.tables.keys()


def test_every_quota_that_bounds_a_table_is_an_option() -> None:
    assert not {bound for bound in BOUNDS.values() if "_" in bound and " " not in bound} - OPTIONS
