# SPDX-License-Identifier: Apache-2.0
"""The first volume: attached to the first server, written to by its guest, and detached again."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import Any

from tools.lib.quickstart.resources import NAME
from tools.lib.quickstart.screen import Failed, Step

_WAIT_S, _POLL_S = 60.0, 0.2
# The guest finds the disk by its serial number, the first 20 characters of the volume's id: virtio-blk has no room for more.
_SERIAL = 20
_WRITE = """
for n in 1 2 3 4 5 6 7 8 9 10; do
  for disk in /sys/block/vd*; do [ "$(cat $disk/serial 2>/dev/null)" = {serial} ] && device=/dev/${{disk##*/}}; done
  [ -b "$device" ] && break; sleep 1
done
[ -b "$device" ] || {{ echo "no disk has the serial number {serial}" >&2; exit 1; }}
mkdir -p /mnt/volume
mount -t ext2 $device /mnt/volume 2>/dev/null || {{ mke2fs $device >/dev/null 2>&1; mount -t ext2 $device /mnt/volume || exit 1; }}
count=$(cat /mnt/volume/count 2>/dev/null || echo 0); echo $((count + 1)) > /mnt/volume/count
sync; umount /mnt/volume
echo device=$device; echo count=$((count + 1))
"""


class FirstVolume:
    """The volume `quickstart` of this cloud; `ssh`: the command that logs in to the server."""

    def __init__(self, cloud: Any, *, ssh: Sequence[str]) -> None:
        self._cloud, self._ssh = cloud, list(ssh)

    def attach(self, step: Step, server: Any) -> Any:
        """Make it unless it is there, and attach it to the server.

        :raises Failed: one of both does not come to an end.
        """
        storage = self._cloud.block_storage
        volume = next((one for one in storage.volumes() if one.name == NAME), None)
        if volume is None:
            volume = storage.create_volume(name=NAME, size=1, description="of tools/quickstart")
        volume = self._wait(step, volume, ("available", "in-use"))
        if volume.status == "available":
            self._cloud.compute.create_volume_attachment(server, volume_id=volume.id)
            volume = self._wait(step, volume, ("in-use",))
        step.did = f"{volume.size} GiB, attached as {volume.attachments[0]['device']}; {volume.id}"
        return volume

    def write(self, step: Step, volume: Any) -> None:
        """Have the guest make a file system on it, once, and write to a file.

        :raises Failed: the guest cannot.
        """
        script = _WRITE.format(serial=volume.id[:_SERIAL])
        done = subprocess.run([*self._ssh, "-oBatchMode=yes", "-oConnectTimeout=20", script], capture_output=True, text=True, check=False,
                              timeout=_WAIT_S, stdin=subprocess.DEVNULL)  # fmt: skip
        said = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
        if done.returncode or "count" not in said:
            raise Failed(f"the guest could not write to its volume: {done.stderr.strip() or 'it said nothing'}",
                         remedy=f"openstack console log show {NAME}; openstack volume show {NAME}")  # fmt: skip
        step.did = f"the guest wrote to it as {said['device']}: its file counts {said['count']} runs of this program"

    def detach(self, step: Step, server: Any, volume: Any) -> None:
        """Take it from the guest; what was written stays on it.

        :raises Failed: the guest does not let go.
        """
        self._cloud.compute.delete_volume_attachment(server, volume)
        self._wait(step, volume, ("available",))
        step.did = f"the guest has let go of it: openstack server add volume {NAME} {NAME} gives it back"

    def _wait(self, step: Step, volume: Any, statuses: tuple[str, ...]) -> Any:
        deadline = time.monotonic() + _WAIT_S
        while time.monotonic() < deadline:
            volume = self._cloud.block_storage.get_volume(volume.id)
            step.progress = volume.status
            if volume.status in statuses:
                return volume
            if volume.status.startswith("error"):
                break
            time.sleep(_POLL_S)
        raise Failed(f"volume {volume.id} is {volume.status}, and not {' or '.join(statuses)}",
                     remedy="openstack volume message list; openstack server event list quickstart; the log in the state directory")  # fmt: skip
