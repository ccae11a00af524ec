# SPDX-License-Identifier: Apache-2.0
"""The names of Nova's instance-action events, by which clients know the steps of an action.

The journal has finer steps; those that are one event of Nova's are shown as one.
"""

from __future__ import annotations

_BUILD = "compute__do_build_and_run_instance"
_OFFLOAD = "compute_shelve_offload_instance"

# Action of lifecycle/servers.py -> the event that all its steps are, or the event of each step.
EVENTS: dict[str, str | dict[str, str]] = {
    "create": {"pick_host": "schedule_instances", "prepare_network": _BUILD, "connect_volumes": _BUILD, "start_guest": _BUILD},
    "delete": "compute_terminate_instance",
    "soft_delete": "compute_soft_delete_instance",
    "restore": "compute_restore_instance",
    "start": "compute_start_instance",
    "stop": "compute_stop_instance",
    "reboot_soft": "compute_reboot_instance",
    "reboot_hard": "compute_reboot_instance",
    "pause": "compute_pause_instance",
    "unpause": "compute_unpause_instance",
    "suspend": "compute_suspend_instance",
    "resume": "compute_resume_instance",
    "rebuild": {"find_server": "rebuild_server", "refresh_network": "rebuild_server",
                "compute_rebuild_instance": "compute_rebuild_instance"},
    "rescue": "compute_rescue_instance",
    "unrescue": "compute_unrescue_instance",
    "create_image": "compute_snapshot_instance",
    "create_backup": "compute_backup_instance",
    "resize": {"find_move": "conductor_migrate_server", "claim_room": "compute_prep_resize",
               "stop_guest": "compute_resize_instance", "start_resized_guest": "compute_finish_resize"},
    "confirm_resize": "compute_confirm_resize",
    "revert_resize": {"find_move": "compute_revert_resize", "restore_guest": "compute_finish_revert_resize"},
    "shelve": {
        **dict.fromkeys(("find_server", "power_off", "compute_snapshot_instance", "upload_image", "discard_copy", "set_aside"),
                        "compute_shelve_instance"),
        **dict.fromkeys(("destroy_guest", "release_network", "leave_host"), _OFFLOAD)},
    "shelve_offload": _OFFLOAD,
    "unshelve": {"pick_host": "schedule_instances",
                 **dict.fromkeys(("prepare_network", "connect_volumes", "start_guest"), "compute_unshelve_instance")},
    "attach_interface": "compute_attach_interface",
    "detach_interface": "compute_detach_interface",
    "attach_volume": "compute_attach_volume",
    "detach_volume": "compute_detach_volume",
    "trigger_crash_dump": "compute_trigger_crash_dump",
    "change_password": "compute_set_admin_password",
}


def event_of(action: str, step: str, *, stays_on_host: bool = False) -> str | None:
    """The event that clients know the step by; an unknown one keeps its name.

    `stays_on_host`: the server is shelved and stays on its host: the steps of its offload do nothing and are not shown (None).
    """
    known = EVENTS.get(action, step)
    name = known if isinstance(known, str) else known.get(step, step)
    return None if stays_on_host and name == _OFFLOAD else name
