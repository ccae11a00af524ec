# SPDX-License-Identifier: Apache-2.0
"""The server's state machine as data: what is allowed, shown meanwhile, reached, and done after a crash.

Only db/compute/servers.py assigns `vm_state` or `task_state`, and only by these rows. States and tasks are Nova's, as
clients and operators know them.
"""

from __future__ import annotations

import dataclasses
from enum import IntEnum, StrEnum


class Vm(StrEnum):
    """The state of a server at rest."""

    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    RESCUED = "rescued"  # runs from a rescue disk
    STOPPED = "stopped"
    SHELVED = "shelved"  # off, with a snapshot, still on its host
    SHELVED_OFFLOADED = "shelved_offloaded"  # a snapshot only
    RESIZED = "resized"  # runs with the new flavor; the old disks are kept until it is confirmed
    SOFT_DELETED = "soft-delete"  # off, and reclaimed later
    ERROR = "error"
    DELETED = "deleted"


class Power(IntEnum):
    """The power state that the hypervisor reports; the numbers are Nova's."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6
    SUSPENDED = 7


# The first step of an action that one host does: the API has done it where it casts the second, `Action.host_step`.
FIND_SERVER = "find_server"
HOST_STEP_SEQUENCE = 2


@dataclasses.dataclass(frozen=True)
class Action:
    """One row: `allowed_in` vm_states, `task` shown meanwhile, `leads_to` at rest (None: as it was).

    `over_task`: may begin while another action runs; `over_tasks`: while one shows one of these tasks. `needs_unlocked`: refused to non-admins on a locked server.
    `on_host`: one operation of the server's host; all others are the conductor's.
    `is_instant`: done by the API's own transaction; no worker takes part. `api_name`: the name that clients know, where
    it is not `name`.
    """

    name: str
    allowed_in: frozenset[Vm]
    task: str | None
    leads_to: Vm | None
    over_task: bool = False
    over_tasks: frozenset[str] = frozenset()
    needs_unlocked: bool = True
    is_instant: bool = False
    on_host: bool = False
    api_name: str | None = None

    @property
    def shown_as(self) -> str:
        """The action's name in the API."""
        return self.api_name or self.name

    @property
    def host_step(self) -> str:
        """Of an action that one host does: the key of its step there."""
        return f"compute_{self.name}"

    @property
    def overtaken(self) -> frozenset[str]:
        """Names of the actions that end when this one begins over their tasks."""
        return frozenset(row.name for row in ACTIONS.values() if row.task in self.over_tasks)


ACTIONS: dict[str, Action] = {}
ANY = frozenset(Vm) - {Vm.DELETED}


def _action(
    name: str, allowed_in: frozenset[Vm] | set[Vm], *, task: str | None, leads_to: Vm | None, **more: object
) -> None:
    ACTIONS[name] = Action(name, frozenset(allowed_in), task, leads_to, **more)  # type: ignore[arg-type]


# Workflows: run by the conductor, step by step.
_action("create", set(), task="scheduling", leads_to=Vm.ACTIVE)
_action("delete", ANY, task="deleting", leads_to=Vm.DELETED, over_task=True)
_action("shelve", {Vm.ACTIVE, Vm.STOPPED, Vm.PAUSED, Vm.SUSPENDED}, task="shelving", leads_to=Vm.SHELVED)
_action("shelve_offload", {Vm.SHELVED}, task="shelving_offloading", leads_to=Vm.SHELVED_OFFLOADED, api_name="shelveOffload")
_action("unshelve", {Vm.SHELVED, Vm.SHELVED_OFFLOADED}, task="unshelving", leads_to=Vm.ACTIVE)
_action("rebuild", {Vm.ACTIVE, Vm.STOPPED, Vm.ERROR}, task="rebuilding", leads_to=Vm.ACTIVE)  # or to STOPPED
_action("rescue", {Vm.ACTIVE, Vm.STOPPED, Vm.ERROR}, task="rescuing", leads_to=Vm.RESCUED)
_action("unrescue", {Vm.RESCUED}, task="unrescuing", leads_to=Vm.ACTIVE)
_action("create_image", {Vm.ACTIVE, Vm.STOPPED, Vm.PAUSED, Vm.SUSPENDED}, task="image_snapshot_pending", leads_to=None, needs_unlocked=False, api_name="createImage")
_action("create_backup", {Vm.ACTIVE, Vm.STOPPED, Vm.PAUSED, Vm.SUSPENDED}, task="image_backup", leads_to=None, needs_unlocked=False, api_name="createBackup")
_action("resize", {Vm.ACTIVE, Vm.STOPPED}, task="resize_prep", leads_to=Vm.RESIZED)
_action("confirm_resize", {Vm.RESIZED}, task="resize_confirming", leads_to=Vm.ACTIVE,
        api_name="confirmResize")  # or to STOPPED
_action("revert_resize", {Vm.RESIZED}, task="resize_reverting", leads_to=Vm.ACTIVE,
        api_name="revertResize")  # or to STOPPED

# Power: one operation on the server's host.
_action("start", {Vm.STOPPED}, task="powering-on", leads_to=Vm.ACTIVE, on_host=True)
_action("stop", {Vm.ACTIVE, Vm.ERROR}, task="powering-off", leads_to=Vm.STOPPED, on_host=True)
_action("reboot_soft", {Vm.ACTIVE}, task="rebooting", leads_to=Vm.ACTIVE, on_host=True, api_name="reboot")
_action("reboot_hard", {Vm.ACTIVE, Vm.STOPPED, Vm.PAUSED, Vm.SUSPENDED, Vm.ERROR},
        task="rebooting_hard", leads_to=Vm.ACTIVE, on_host=True, api_name="reboot", over_tasks=frozenset({
            "rebooting", "rebooting_hard", "pausing", "unpausing", "suspending", "resuming"}))  # recovers a server whose action is stuck
_action("pause", {Vm.ACTIVE}, task="pausing", leads_to=Vm.PAUSED, on_host=True)
_action("unpause", {Vm.PAUSED}, task="unpausing", leads_to=Vm.ACTIVE, on_host=True)
_action("suspend", {Vm.ACTIVE}, task="suspending", leads_to=Vm.SUSPENDED, on_host=True)
_action("resume", {Vm.SUSPENDED}, task="resuming", leads_to=Vm.ACTIVE, on_host=True)
# May begin over actions of one host; over a workflow it waits for its end (api/compute/servers/deletion.py).
_action("soft_delete", {Vm.ACTIVE, Vm.PAUSED, Vm.SUSPENDED, Vm.STOPPED, Vm.RESCUED, Vm.RESIZED, Vm.SHELVED, Vm.SHELVED_OFFLOADED,
                        Vm.ERROR}, task="soft-deleting", leads_to=Vm.SOFT_DELETED, on_host=True, api_name="delete", over_tasks=frozenset({
                            "powering-on", "powering-off", "rebooting", "rebooting_hard", "pausing", "unpausing", "suspending",
                            "resuming", "updating_password"}))
_action("restore", {Vm.SOFT_DELETED}, task="restoring", leads_to=Vm.ACTIVE, on_host=True)  # or to SHELVED_OFFLOADED

# Interfaces: the tasks are ours, since Nova shows none meanwhile.
_action("attach_interface", {Vm.ACTIVE, Vm.PAUSED, Vm.STOPPED}, task="attaching-interface", leads_to=None)
_action("detach_interface", {Vm.ACTIVE, Vm.PAUSED, Vm.STOPPED}, task="detaching-interface", leads_to=None)

# Volumes: several at a time, since what is under way is in the attachment's status and not in a task.
_WITH_VOLUMES = {Vm.ACTIVE, Vm.PAUSED, Vm.STOPPED, Vm.RESIZED, Vm.SOFT_DELETED, Vm.SHELVED, Vm.SHELVED_OFFLOADED}
_action("attach_volume", _WITH_VOLUMES, task=None, leads_to=None)
_action("detach_volume", _WITH_VOLUMES, task=None, leads_to=None)

# In the guest.
_action("trigger_crash_dump", {Vm.ACTIVE, Vm.PAUSED, Vm.RESCUED, Vm.RESIZED, Vm.ERROR}, task=None, leads_to=None, on_host=True)
_action("change_password", {Vm.ACTIVE}, task="updating_password", leads_to=None, on_host=True,
        api_name="changePassword")

# Done by the API at once.
_action("lock", ANY, task=None, leads_to=None, over_task=True, needs_unlocked=False, is_instant=True)
_action("unlock", ANY, task=None, leads_to=None, over_task=True, needs_unlocked=False, is_instant=True)

# Workflows that show their progress, by Nova's task states.
TASKS_OF: dict[str, tuple[str, ...]] = {
    "create": ("scheduling", "networking", "spawning"),
    "rebuild": ("rebuilding", "rebuild_block_device_mapping", "rebuild_spawning"),
    "create_image": ("image_snapshot_pending", "image_snapshot", "image_pending_upload", "image_uploading"),
    "create_backup": ("image_backup", "image_pending_upload", "image_uploading"),
    "shelve": ("shelving", "shelving_image_pending_upload", "shelving_image_uploading", "shelving_offloading"),
    "unshelve": ("unshelving", "spawning"),
    "resize": ("resize_prep", "resize_migrating", "resize_migrated", "resize_finish"),
}

# A guest may change its power by itself (from inside, by hand on the host, by a crash) while its server is at rest.
# In these states the server follows: it becomes active, stopped, paused or suspended.
FOLLOWS_POWER = frozenset({Vm.ACTIVE, Vm.PAUSED, Vm.STOPPED, Vm.SUSPENDED})
# In these it keeps its state, which a user has to end, and shows the power. In all others its power is known.
SHOWS_POWER = frozenset({Vm.RESIZED, Vm.RESCUED, Vm.SHELVED, Vm.SOFT_DELETED, Vm.ERROR})

# The status of (vm_state, task_state); the task decides where the pair is listed.
_STATUS: dict[Vm, str] = {
    Vm.BUILDING: "BUILD", Vm.ACTIVE: "ACTIVE", Vm.PAUSED: "PAUSED", Vm.SUSPENDED: "SUSPENDED",
    Vm.STOPPED: "SHUTOFF", Vm.ERROR: "ERROR", Vm.DELETED: "DELETED", Vm.SHELVED: "SHELVED",
    Vm.RESIZED: "VERIFY_RESIZE", Vm.RESCUED: "RESCUE", Vm.SHELVED_OFFLOADED: "SHELVED_OFFLOADED", Vm.SOFT_DELETED: "SOFT_DELETED",
}
_STATUS_OF_TASK: dict[tuple[Vm, str], str] = {
    (Vm.ACTIVE, "rebooting"): "REBOOT", (Vm.ACTIVE, "rebooting_hard"): "HARD_REBOOT",
    (Vm.ACTIVE, "updating_password"): "PASSWORD", (Vm.RESIZED, "resize_reverting"): "REVERT_RESIZE",
    **{(vm, task): "REBUILD" for vm in (Vm.ACTIVE, Vm.STOPPED, Vm.ERROR) for task in TASKS_OF["rebuild"]},
    **{(vm, task): "RESIZE" for vm in (Vm.ACTIVE, Vm.STOPPED) for task in TASKS_OF["resize"]},
    **{(vm, "rebooting_hard"): "HARD_REBOOT" for vm in (Vm.STOPPED, Vm.PAUSED, Vm.SUSPENDED, Vm.ERROR)},
}


def status_of(vm_state: str, task_state: str | None) -> str:
    """The status that the API shows: `ACTIVE`, `BUILD`, `REBOOT`, …"""
    vm = Vm(vm_state)
    return _STATUS_OF_TASK.get((vm, task_state or ""), _STATUS[vm])


def states_of(status: str) -> list[Vm]:
    """The vm_states that a status filter selects; empty for an unknown status."""
    upper = status.upper()
    by_task = [vm for (vm, _), shown in _STATUS_OF_TASK.items() if shown == upper]
    return [vm for vm, shown in _STATUS.items() if shown == upper] + by_task


def vm_state_of(power: int) -> Vm | None:
    """The state at rest that a guest's own change of power leads to; None: no other."""
    return {
        Power.RUNNING: Vm.ACTIVE, Power.PAUSED: Vm.PAUSED, Power.SHUTDOWN: Vm.STOPPED,
        Power.CRASHED: Vm.STOPPED, Power.SUSPENDED: Vm.SUSPENDED,
    }.get(Power(power))
