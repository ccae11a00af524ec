# SPDX-License-Identifier: Apache-2.0
"""The workflows: one file is one operation, by the name of its action in lifecycle/servers.py."""

from typing import Any

from nova_lite.conductor.engine.workflow import Workflow
from nova_lite.conductor.workflows import (
    build,
    delete,
    interfaces,
    power,
    rebuild,
    rescue,
    resize,
    shelve,
    snapshot,
    soft_delete,
    unshelve,
)

WORKFLOWS: dict[str, Workflow[Any]] = {
    "attach_interface": interfaces.ATTACH,
    "change_password": power.CHANGE_PASSWORD,
    "confirm_resize": resize.CONFIRM,
    "create": build.BUILD,
    "create_backup": snapshot.CREATE_BACKUP,
    "create_image": snapshot.CREATE_IMAGE,
    "delete": delete.DELETE,
    "detach_interface": interfaces.DETACH,
    "pause": power.PAUSE,
    "reboot_hard": power.REBOOT_HARD,
    "reboot_soft": power.REBOOT_SOFT,
    "rebuild": rebuild.REBUILD,
    "rescue": rescue.RESCUE,
    "resize": resize.RESIZE,
    "restore": soft_delete.RESTORE,
    "resume": power.RESUME,
    "revert_resize": resize.REVERT,
    "shelve": shelve.SHELVE,
    "shelve_offload": shelve.OFFLOAD,
    "soft_delete": soft_delete.SOFT_DELETE,
    "start": power.START,
    "stop": power.STOP,
    "suspend": power.SUSPEND,
    "trigger_crash_dump": power.TRIGGER_CRASH_DUMP,
    "unpause": power.UNPAUSE,
    "unrescue": rescue.UNRESCUE,
    "unshelve": unshelve.UNSHELVE,
}
