# SPDX-License-Identifier: Apache-2.0
"""The workflows: one file is one operation, by the name of its action in lifecycle/servers.py."""

from nova_lite.conductor.engine.workflow import Workflow
from nova_lite.conductor.workflows import build, delete, interfaces, rebuild, rescue, resize, shelve, snapshot, unshelve

WORKFLOWS: dict[str, Workflow] = {"create": build.BUILD, "delete": delete.DELETE,
    "create_image": snapshot.CREATE_IMAGE, "create_backup": snapshot.CREATE_BACKUP,
    "rebuild": rebuild.REBUILD, "rescue": rescue.RESCUE, "unrescue": rescue.UNRESCUE,
    "shelve": shelve.SHELVE, "shelve_offload": shelve.OFFLOAD, "unshelve": unshelve.UNSHELVE,
    "attach_interface": interfaces.ATTACH, "detach_interface": interfaces.DETACH,
    "resize": resize.RESIZE, "confirm_resize": resize.CONFIRM, "revert_resize": resize.REVERT}
