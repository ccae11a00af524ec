# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts by the metadata of their aggregates, which operators keep for some projects, images or flavors."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.filters.operators import matches
from nova_lite.scheduler.view import Host

_SCOPE = "aggregate_instance_extra_specs:"


def takes_project(host: Host, request: PlacementRequest) -> str | None:
    """`filter_tenant_id` (and with any suffix): only these projects' servers come here, as in Nova."""
    allowed = {value for key, values in host.aggregates.items() if key.startswith("filter_tenant_id") for value in values}
    return "kept for other projects" if allowed and request.project_id not in allowed else None


def takes_image(host: Host, request: PlacementRequest) -> str | None:
    """Where the metadata has a property of the image, it must have the image's value."""
    for name, value in request.image_properties.items():
        allowed = host.aggregates.get(name)
        if allowed is not None and value not in allowed:
            return f"kept for other images: {name} is {value}"
    return None


def has_extra_specs(host: Host, request: PlacementRequest) -> str | None:
    """Extra specs `aggregate_instance_extra_specs:KEY` must match the metadata's KEY."""
    for name, wanted in request.extra_specs.items():
        if not name.startswith(_SCOPE):
            continue
        key = name.removeprefix(_SCOPE)
        if not any(matches(value, wanted) for value in host.aggregates.get(key, ())):
            return f"in no aggregate that the flavor asks for: {key} {wanted}"
    return None
