# SPDX-License-Identifier: Apache-2.0
"""What small resources and actions answer, for the OpenAPI document; the large ones are in `answers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from nova_lite.api.compute.common.answer_schemas import (
    GUESTS,
    LINKS,
    NUMBER,
    STRING,
    WHOLE,
    WHOLE_OR_NULL,
    WORD_OR_NULL,
    WORDS,
    YES_NO,
    closed,
    many,
    shape,
    words,
)
from nova_lite.api.compute.consoles import console_auth_tokens
from nova_lite.api.compute.hosts import hypervisors, services
from nova_lite.api.compute.legacy import floating_ips, networks
from nova_lite.api.compute.quotas import quota_class_sets, quota_sets
from nova_lite.api.wsgi.responses import Field, Schema
from nova_lite.api.wsgi.versions import Version

Made = Callable[[Version], Schema]


def _always(schema: Schema) -> Made:
    return lambda _version: schema


def _fields(key: str, fields: Iterable[Field], types: Mapping[str, Schema] | None = None, *, is_list: bool = False,
            **more: Schema) -> Made:
    """`{key: …}` of what `routing.view` makes of the fields, with `more` in each."""
    kept = tuple(fields)

    def made(version: Version) -> Schema:
        one = shape(kept, version, types or {}, **more)
        return closed({f"{key}_links": LINKS} if is_list else {}, **{key: many(one) if is_list else one})

    return made


def _quota(fields: tuple[Field, ...], value: Schema, *, has_id: bool) -> Made:
    types = {field.name: value for field in fields}
    return _fields("quota_set", fields, types, id=STRING) if has_id else _fields("quota_set", fields, types)


_METADATA, _META = _always(closed(metadata=WORDS)), _always(closed(meta=WORDS))
_EXTRA_SPECS, _EXTRA_SPEC = _always(closed(extra_specs=WORDS)), _always({**WORDS, "minProperties": 1, "maxProperties": 1})
_RULE = closed(
    **words("id parent_group_id", STRING), ip_protocol=WORD_OR_NULL, **words("from_port to_port", WHOLE_OR_NULL),
    group=closed(words("name tenant_id", STRING)), ip_range=closed({"cidr": STRING}))
_GROUP = closed(**words("id name tenant_id", STRING), description=WORD_OR_NULL, rules=many(_RULE))
_GROUPS, _ONE_GROUP = _always(closed(security_groups=many(_GROUP))), _always(closed(security_group=_GROUP))
_CONSOLE = _always(closed(console=closed(type=STRING, url=STRING)))
_IMAGE = closed(
    {"server": closed(id=STRING, links=LINKS), "OS-DCF:diskConfig": {"enum": ["AUTO", "MANUAL"]}}, id=STRING, name=WORD_OR_NULL, metadata={"type": "object"}, links=LINKS,
    **words("created updated status", STRING), **words("minRam minDisk progress OS-EXT-IMG-SIZE:size", WHOLE))
_USED = closed(
    words("ended_at", WORD_OR_NULL), **words("instance_id name tenant_id flavor started_at state", STRING), hours=NUMBER,
    **words("vcpus memory_mb local_gb uptime", WHOLE))
_USAGE = closed({"server_usages": many(_USED)}, **words("tenant_id start stop", STRING), **words(
    "total_hours total_local_gb_usage total_memory_mb_usage total_vcpus_usage", NUMBER))
_AUDIT = closed(
    **words("period_beginning period_ending overall_status", STRING), hosts_not_run=many(STRING), log={"type": "object"},
    **words("num_hosts num_hosts_done num_hosts_running num_hosts_not_run total_instances total_errors", WHOLE))
_ZONES = _always(closed(availabilityZoneInfo=many(closed(
    zoneName=STRING, zoneState=closed(available=YES_NO), hosts={"type": ["object", "null"]}))))
_EXTENSION = closed(**words("alias name description namespace updated", STRING), links=LINKS)
_NAMED = {"hypervisor_hostname": STRING, "state": {"enum": ["up", "down"]}, "status": {"enum": ["enabled", "disabled"]}}


def _service(version: Version) -> Schema:
    """Before 2.53 what was changed of it."""
    if version.minor >= 53:
        return _fields("service", services.FIELDS)(version)
    changed = {"status": STRING, "disabled_reason": WORD_OR_NULL, "forced_down": YES_NO}
    return closed(service=closed(changed, host=STRING, binary=STRING))


_SERVER, _SUMS = "/servers/{server_id}", "current_workload disk_available_least free_disk_gb free_ram_mb local_gb local_gb_used " \
    "memory_mb memory_mb_used running_vms vcpus vcpus_used count"

# By method, path and action.
SMALL: dict[str, Callable[[Version], Schema | None]] = {
    **{f"POST {_SERVER}/action os-get{kind}Console": _CONSOLE for kind in ("VNC", "SPICE", "Serial")},
    f"POST {_SERVER}/remote-consoles": _always(closed(remote_console=closed(**words("protocol type url", STRING)))),
    "GET /os-console-auth-tokens/{token}": _fields("console", console_auth_tokens.FIELDS),
    **{f"{method} {root}/metadata": _METADATA for root in ("/images/{image_id}",) for method in ("GET", "POST", "PUT")},
    **{f"{method} {root}/metadata/{{key}}": _META for root in ("/images/{image_id}",) for method in ("GET", "PUT")},
    **{f"GET /os-{word}{rest}": _always(closed(**{word: {"type": "array", "maxItems": 0}}))
       for word in ("volumes", "snapshots") for rest in ("", "/detail")},
    "GET /os-networks": _fields("networks", networks.FIELDS, is_list=True),
    "GET /os-networks/{network_id}": _fields("network", networks.FIELDS),
    "GET /os-tenant-networks": _fields("networks", networks.TENANT_FIELDS, is_list=True),
    "GET /os-tenant-networks/{network_id}": _fields("network", networks.TENANT_FIELDS),
    "GET /os-security-groups": _GROUPS,
    "GET /os-security-groups/{group_id}": _ONE_GROUP,
    "POST /os-security-groups": _ONE_GROUP,
    "PUT /os-security-groups/{group_id}": _ONE_GROUP,
    "POST /os-security-group-rules": _always(closed(security_group_rule=_RULE)),
    "GET /os-floating-ip-pools": _always(closed(floating_ip_pools=many(closed(name=STRING)))),
    "GET /os-floating-ips": _fields("floating_ips", floating_ips.FIELDS, is_list=True),
    "GET /os-floating-ips/{floating_ip_id}": _fields("floating_ip", floating_ips.FIELDS),
    "POST /os-floating-ips": _fields("floating_ip", floating_ips.FIELDS),
    **{f"{method} /flavors/{{flavor_id}}/os-extra_specs": _EXTRA_SPECS for method in ("GET", "POST")},
    **{f"{method} /flavors/{{flavor_id}}/os-extra_specs/{{key}}": _EXTRA_SPEC for method in ("GET", "PUT")},
    "GET /os-simple-tenant-usage": _always(closed({"tenant_usages_links": LINKS}, tenant_usages=many(_USAGE))),
    "GET /os-simple-tenant-usage/{project_id}": _always(closed(
        {"tenant_usage_links": LINKS}, tenant_usage={"anyOf": [_USAGE, closed()]})),
    "GET /os-instance_usage_audit_log": _always(closed(instance_usage_audit_logs=_AUDIT)),
    "GET /os-instance_usage_audit_log/{before}": _always(closed(instance_usage_audit_log=_AUDIT)),
    **{f"GET /os-quota-sets/{{project_id}}{rest}": _quota(quota_sets.FIELDS, WHOLE, has_id=True) for rest in ("", "/defaults")},
    "GET /os-quota-sets/{project_id}/detail": _quota(
        quota_sets.FIELDS, closed(**words("limit in_use reserved", WHOLE)), has_id=True),
    "PUT /os-quota-sets/{project_id}": _quota(quota_sets.FIELDS, WHOLE, has_id=False),
    "GET /os-quota-class-sets/{class_name}": _fields("quota_class_set", quota_class_sets.FIELDS, id=STRING),
    "PUT /os-quota-class-sets/{class_name}": _fields("quota_class_set", quota_class_sets.FIELDS),
    **{f"GET /os-availability-zone{rest}": _ZONES for rest in ("", "/detail")},
    "GET /os-hypervisors/statistics": _always(closed(hypervisor_statistics=closed(**words(_SUMS, WHOLE)))),
    "GET /os-hypervisors/{hypervisor_id}/uptime": _fields("hypervisor", hypervisors.NAME_FIELDS, _NAMED, uptime=STRING),
    "GET /os-hypervisors/{pattern}/search": _fields("hypervisors", hypervisors.NAME_FIELDS, _NAMED, is_list=True),
    "GET /os-hypervisors/{pattern}/servers": lambda version: closed(hypervisors=many({
        **shape(hypervisors.NAME_FIELDS, version, _NAMED), "properties": {
            **shape(hypervisors.NAME_FIELDS, version, _NAMED)["properties"], "servers": GUESTS}})),
    "PUT /os-services/{service_id}": _service,
    "GET /os-hosts": _always(closed(hosts=many(closed(**words("host_name service zone", STRING))))),
    "GET /os-hosts/{host_name}": _always(closed(host=many(closed(resource=closed(
        **words("host project", STRING), **words("cpu memory_mb disk_gb", WHOLE)))))),
    "PUT /os-hosts/{host_name}": _always(closed(host=STRING, status=STRING)),
    "GET /images": _always(closed({"images_links": LINKS}, images=many(closed(id=STRING, name=WORD_OR_NULL, links=LINKS)))),
    "GET /images/detail": _always(closed({"images_links": LINKS}, images=many(_IMAGE))),
    "GET /images/{image_id}": _always(closed(image=_IMAGE)),
    "GET /extensions": _always(closed(extensions=many(_EXTENSION))),
    "GET /extensions/{alias}": _always(closed(extension=_EXTENSION)),
}
