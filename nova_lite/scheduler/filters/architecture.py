# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts whose CPUs cannot run the image, by its property `hw_architecture`."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host

_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def runs_architecture(host: Host, request: PlacementRequest) -> str | None:
    """An image without an architecture runs on any host. Part of Nova's ImagePropertiesFilter."""
    if request.architecture is None:
        return None
    required = _ALIASES.get(request.architecture.lower(), request.architecture.lower())
    return None if required == host.architecture or host.virt_type == "fake" else f"cannot run {required} images"
