# SPDX-License-Identifier: Apache-2.0
"""The name and payload of each action of lifecycle/servers.py in notifications: Nova's names and versions."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Kind:
    """`instance.<event>.start` and so on, with a payload object of this name and version."""

    event: str
    payload: str = "InstanceActionPayload"
    version: str = "1.8"


# Actions with another name or payload; any other is `instance.<its name>` with an InstanceActionPayload.
KINDS: dict[str, Kind | None] = {
    "create": Kind("create", "InstanceCreatePayload", "1.12"),
    "start": Kind("power_on"),
    "stop": Kind("power_off"),
    "reboot_soft": Kind("reboot"),
    "reboot_hard": Kind("reboot"),
    "rebuild": Kind("rebuild", "InstanceActionRebuildPayload", "1.9"),
    "rescue": Kind("rescue", "InstanceActionRescuePayload", "1.3"),
    "create_image": Kind("snapshot", "InstanceActionSnapshotPayload", "1.9"),
    "create_backup": Kind("snapshot", "InstanceActionSnapshotPayload", "1.9"),
    "confirm_resize": Kind("resize_confirm"),
    "revert_resize": Kind("resize_revert"),
    "attach_interface": Kind("interface_attach"),
    "detach_interface": Kind("interface_detach"),
    "attach_volume": Kind("volume_attach", "InstanceActionVolumePayload", "1.6"),
    "detach_volume": Kind("volume_detach", "InstanceActionVolumePayload", "1.6"),
    "change_password": None,  # Nova has none
    "extend_volume": None,  # block storage notifies of it
}


def kind_of(action: str) -> Kind | None:
    """None: no notification is sent about this action."""
    return KINDS.get(action, Kind(action))
