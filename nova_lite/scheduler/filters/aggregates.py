# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts by the metadata of their aggregates, by which operators reserve them for projects, images or flavors."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host
from nova_lite.values.spec_operators import matches

_SCOPE = "aggregate_instance_extra_specs:"


def accepts_project(host: Host, request: PlacementRequest) -> str | None:
    """`filter_tenant_id`, with any suffix, lists the projects. Nova's AggregateMultiTenancyIsolation."""
    allowed = {value for key, values in host.aggregates.items() if key.startswith("filter_tenant_id") for value in values}
    return "reserved for other projects" if allowed and request.project_id not in allowed else None


def accepts_image(host: Host, request: PlacementRequest) -> str | None:
    """A property that the metadata also has must have its value. Nova's AggregateImagePropertiesIsolation."""
    for name, value in request.image_properties.items():
        allowed = host.aggregates.get(name)
        if allowed is not None and value not in allowed:
            return f"reserved for other images: {name} is {value}"
    return None


def has_extra_specs(host: Host, request: PlacementRequest) -> str | None:
    """Extra specs `aggregate_instance_extra_specs:KEY` match the metadata's KEY. Nova's AggregateInstanceExtraSpecsFilter."""
    for name, required in request.extra_specs.items():
        if not name.startswith(_SCOPE):
            continue
        key = name.removeprefix(_SCOPE)
        if not any(matches(value, required) for value in host.aggregates.get(key, ())):
            return f"in no aggregate that the flavor requires: {key} {required}"
    return None
