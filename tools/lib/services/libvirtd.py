# SPDX-License-Identifier: Apache-2.0
"""virtlogd and libvirtd without systemd: on the machine itself, or inside a `Host` of our own."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tools.lib.services.errors import ServiceError
from tools.lib.services.processes import Identity, Process, descendants, end, pids, wait_until
from tools.lib.services.sandbox import Sandbox
from tools.lib.services.service import Service, output_of

URI = "qemu:///system"
_KVM = Path("/dev/kvm")
_RUN = Path("/run/libvirt")

# dynamic_ownership, security_driver and namespaces: without udev, SELinux or AppArmor QEMU otherwise refuses
# to start
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
stdio_handler = "logd"
vnc_listen = "{listen}"
"""
# no polkit, which needs D-Bus; the sockets are root's alone
LIBVIRTD_CONF = """\
listen_tls = 0
listen_tcp = {tcp}
listen_addr = "{listen}"
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "root"
unix_sock_ro_perms = "0700"
unix_sock_rw_perms = "0700"
host_uuid = "{host_uuid}"
"""


def fix_kvm_device(device: Path = _KVM) -> bool:
    """Give /dev/kvm the group and mode that udev would; say whether that was needed.

    libvirt probes QEMU again at every domain start, 60 s each, while the device is root:root 0600.
    """
    try:
        now = device.stat()
        group = grp.getgrnam("kvm").gr_gid
    except (FileNotFoundError, KeyError):
        return False
    if now.st_gid == group and stat.S_IMODE(now.st_mode) == 0o660:
        return False
    os.chown(device, now.st_uid, group)
    device.chmod(0o660)
    return True


def write_configuration(etc: Path, *, listen: str, tcp: bool, host_uuid: str) -> None:
    """Make `etc` a copy of /etc/libvirt with our two files in it and no network that starts by itself.

    Kept when it is there already: guests are defined in it.
    """
    if not etc.exists():
        shutil.copytree("/etc/libvirt", etc, symlinks=True)
        shutil.rmtree(etc / "qemu" / "networks" / "autostart", ignore_errors=True)
    migration = f'migration_address = "{listen}"\n' if tcp else ""  # libvirt refuses a loopback address here
    (etc / "qemu.conf").write_text(QEMU_CONF.format(listen=listen) + migration)
    (etc / "libvirtd.conf").write_text(LIBVIRTD_CONF.format(listen=listen, tcp=int(tcp), host_uuid=host_uuid))


class LibvirtDaemons:
    """The pair virtlogd and libvirtd of `state_dir`; `enter` makes a command run where they belong."""

    def __init__(self, state_dir: Path, *, enter: Callable[[Sequence[str]], list[str]]) -> None:
        self._state_dir = state_dir
        self._enter = enter
        self.virtlogd = Process("virtlogd", state_dir)
        self.libvirtd = Process("libvirtd", state_dir)

    def start(self, *, is_ready: Callable[[], bool], listen: bool = False) -> None:
        """Start what does not run and wait for `is_ready`: below 1 s.

        :param listen: serve TCP as well, as libvirtd.conf says.
        """
        fix_kvm_device()
        own_pids = self._state_dir / "pids"
        own_pids.mkdir(parents=True, exist_ok=True)
        if not self.virtlogd.is_alive():
            self.virtlogd.start(self._enter(["virtlogd", "-p", str(own_pids / "virtlogd")]))
        flags = ["-l"] if listen else []
        if not self.libvirtd.is_alive():
            # QEMU 7.2 that has not yet seen the end of a crashed libvirtd cuts off the next one, which then ends the guest.
            wait_until(
                lambda: not any(_is_monitored(guest.pid) for guest in self.guests()),
                deadline_s=30, what="the guests' notice of libvirtd's end",
            )  # fmt: skip
        self.libvirtd.start_reaped(["libvirtd", *flags, "-p", str(own_pids / "libvirtd")], enter=self._enter)
        wait_until(is_ready, deadline_s=90, what="starting libvirtd", watch=(self.virtlogd, self.libvirtd))

    def stop(self) -> None:
        """End both; guests go on running, and a started libvirtd finds them again."""
        self.libvirtd.end()
        self.virtlogd.end()

    def guests(self) -> list[Identity]:
        """Return the guests of this directory's libvirtd, and of earlier, crashed ones."""
        return [who for reaper in self.reapers() for who in descendants(reaper) if _is_qemu(who.pid)]

    def reapers(self) -> list[int]:
        """Return the sub-reapers of libvirtd and of earlier, crashed ones; each ends after its last guest."""
        return [pid for pid in pids() if _command_line(pid)[4:5] == [str(self.libvirtd.reaper_file)]]


class Libvirtd(Service):
    """libvirt of the machine itself, at `qemu:///system`.

    One that answers already is left alone, by `stop()` and `purge()` too. Ours has its configuration and its
    guests' definitions in `state_dir/etc`; sockets are at the usual /run/libvirt. `stop()` lets guests run
    on; `purge()` ends them.
    """

    uri = URI

    def __init__(self, state_dir: Path) -> None:
        super().__init__(state_dir)
        self._host_uuid = str(self._keep({"host_uuid": str(uuid.uuid4())})["host_uuid"])
        self._etc, self._lib, self._log = (self.state_dir / name for name in ("etc", "lib", "log"))
        self._made_run = self.state_dir / "made-run-libvirt"
        # /run/libvirt stays the machine's, for the sockets; the cache too: probing QEMU takes 1 to 8 s
        own = {"/etc/libvirt": self._etc, "/var/lib/libvirt": self._lib, "/var/log/libvirt": self._log}
        sandbox = Sandbox(binds=tuple((str(source), target) for target, source in own.items()))
        self._daemons = LibvirtDaemons(self.state_dir, enter=lambda argv: sandbox.command(argv))

    @property
    def is_ours(self) -> bool:
        """Whether the libvirtd of this directory runs."""
        return self._daemons.libvirtd.is_alive()

    def _start(self) -> None:
        """Start it unless one answers; below 1 s."""
        with _only_one_starter() as made_run:
            if self.is_ready():
                return
            if made_run:
                self._made_run.touch()
            write_configuration(self._etc, listen="127.0.0.1", tcp=False, host_uuid=self._host_uuid)
            self._lib.mkdir(exist_ok=True)
            self._log.mkdir(exist_ok=True)
            self._daemons.start(is_ready=self.is_ready)

    def stop(self) -> None:
        """End ours; guests go on running."""
        self._daemons.stop()

    def kill9(self) -> None:
        """Crash ours; guests go on running, `start()` brings it back and it finds them."""
        self._daemons.libvirtd.crash()

    def is_ready(self) -> bool:
        """List the guests of the libvirtd at qemu:///system."""
        try:
            output_of(["virsh", "-q", "-c", URI, "list"], timeout_s=15)
        except ServiceError:
            return False
        return True

    def purge(self) -> None:
        """Stop ours, end its guests, remove its directory and, when nothing else uses it, /run/libvirt."""
        guests = self._daemons.guests()
        cgroups = [path for guest in guests for path in guest_cgroups(guest.pid)]
        for guest in guests:
            end(guest)
        self.stop()
        remove_cgroups(cgroups)
        made_run = self._made_run.exists()
        super().purge()
        if made_run and not self.is_ready():
            shutil.rmtree(_RUN, ignore_errors=True)


def guest_cgroups(pid: int) -> list[Path]:
    """Return the directories that libvirt made for this guest, one per cgroup hierarchy."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []
    found = []
    for line in lines:
        _number, controllers, path = line.split(":", 2)
        parts = Path(path).parts
        ours = [at for at, part in enumerate(parts) if part.endswith(".libvirt-qemu")]
        if ours:
            hierarchy = controllers.removeprefix("name=") or "unified"
            found.append(Path("/sys/fs/cgroup", hierarchy, *parts[1 : ours[0] + 1]))
    return found


def remove_cgroups(paths: Sequence[Path]) -> None:
    """Remove cgroups of guests that have ended, which libvirt does only when it saw them end."""
    for path in paths:
        for below, _directories, _files in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):  # libvirt may be removing it right now
                Path(below).rmdir()


def _is_monitored(pid: int) -> bool:
    """Say whether QEMU holds a connection to its monitor; proc(5), /proc/net/unix: state 3 is connected."""
    try:
        held = {os.readlink(entry.path) for entry in os.scandir(f"/proc/{pid}/fd")}
        sockets = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(
        len(fields) == 8 and fields[7].endswith("/monitor.sock") and fields[5] == "03" and f"socket:[{fields[6]}]" in held
        for fields in sockets
    )


def _is_qemu(pid: int) -> bool:
    words = _command_line(pid)
    return bool(words) and Path(words[0]).name.startswith("qemu-system-")


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


@contextlib.contextmanager
def _only_one_starter() -> Iterator[bool]:
    """Keep a second starter waiting: two libvirtd would take each other's socket away.

    Yields whether /run/libvirt is new.
    """
    is_new = not _RUN.exists()
    _RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle = os.open(_RUN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield is_new
    finally:
        os.close(handle)
