# SPDX-License-Identifier: Apache-2.0
"""Refuses hosts whose CPUs cannot run the image, as its property `hw_architecture` says."""

from nova_lite.rpc.scheduler import PlacementRequest
from nova_lite.scheduler.view import Host

_ALIASES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64"}


def runs_architecture(host: Host, request: PlacementRequest) -> str | None:
    """No architecture on the image: any host will do."""
    if request.architecture is None:
        return None
    wanted = _ALIASES.get(request.architecture.lower(), request.architecture.lower())
    return None if wanted == host.architecture or host.virt_type == "fake" else f"cannot run {wanted} images"
