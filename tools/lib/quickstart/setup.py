# SPDX-License-Identifier: Apache-2.0
"""The steps that make the machine ready, with the standard library alone: look, install, libvirt, cloud, image."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
from pathlib import Path

from tools.lib.quickstart.screen import Failed, Screen, Step
from tools.lib.services import Libvirtd, ServiceError
from tools.lib.services.processes import identify

ROOT = Path(__file__).resolve().parents[3]
CLOUD = "nova-lite"
DEFAULT_STATE = Path("/var/lib/nova-lite")
DEFAULT_VENV = ROOT / ".venv"
DEFAULT_PORT = 8774
# Packages take 1.2 GB on a bare Debian, the virtualenv 0.3, the image with its parts 0.3.
_LEAST_FREE_MB = 1024
_SYSTEMD = Path("/run/systemd/system")
_OWN_LINE = re.compile(r"(?:tools/install: |guest-image +[0-9.]+ s +)(.*)")


def options_of(state: Path, venv: Path | None = None) -> str:
    """Options by which our commands work on this cloud, each with a space before it; none for what is the default."""
    given = {"--state": (state, DEFAULT_STATE), "--venv": (venv or DEFAULT_VENV, DEFAULT_VENV)}
    return "".join(f" {name} {shlex.quote(str(value))}" for name, (value, default) in given.items() if value != default)


class Setup:
    """A state directory and a port, and what must be so before the cloud can be used."""

    def __init__(self, *, state: Path, port: int | None, venv: Path) -> None:
        self.state = state
        self.venv = venv
        self.own = state / "quickstart"
        self.image = self.own / "guest.qcow2"
        self.clouds_file = state / "clouds.yaml"
        known = known_port(self.clouds_file)
        self.port = port or known or DEFAULT_PORT
        self._known_port = known

    def look(self, step: Step) -> None:
        """What can be known before anything is installed.

        :raises Failed: this machine or user cannot do it.
        """
        if os.geteuid() != 0:
            raise Failed("not root: packages, networks and guests need it", remedy="sudo tools/quickstart")
        release = _os_release()
        if release.get("ID") != "debian" or int(release.get("VERSION_ID", "0").partition(".")[0] or 0) < 12:
            raise Failed(f"this is {release.get('PRETTY_NAME', 'an unknown system')}, not Debian 12 or newer",
                         remedy="use a Debian 12 machine, VM or container")  # fmt: skip
        above = next(path for path in (self.state, *self.state.parents) if path.exists())
        if not above.is_dir():
            raise Failed(f"{above} is a file", remedy="choose another directory: --state DIR")
        free_mb = shutil.disk_usage(above).free >> 20
        if free_mb < _LEAST_FREE_MB:
            raise Failed(f"only {free_mb} MB free for {self.state}; {_LEAST_FREE_MB} are the least",
                         remedy="make room, or choose another disk: --state DIR")  # fmt: skip
        pid = self.cloud_pid()
        if pid is None:
            self._require_free_port()
        elif self._known_port not in (None, self.port):
            raise Failed(f"the cloud of {self.state} runs on port {self._known_port} (pid {pid})",
                         remedy=f"leave --port away, or stop it first: tools/down{options_of(self.state, self.venv)}")  # fmt: skip
        step.did = f"root on {release['PRETTY_NAME']}, {free_mb // 1024} GB free, port {self.port}"
        step.did += " is our cloud's" if pid else " is free"

    def install(self, step: Step) -> None:
        """Debian packages and the virtualenv, by tools/install.

        :raises Failed: apt or pip failed; they have said why.
        """
        command = [str(ROOT / "tools" / "install"), "--for", "quickstart", "--venv", str(self.venv)]
        lines = run_showing(command, step, what="installing")
        step.did = "installed what was missing" if len(lines) > 1 else "all was there"
        step.did += f"; virtualenv {self.venv}"

    def start_libvirt(self, step: Step) -> None:
        """Have a libvirt that answers: the machine's, by systemd, or one of our own.

        :raises Failed: it does not come up.
        """
        if not self.state.exists():
            self.state.mkdir(parents=True)
            self.state.chmod(0o700)
        libvirtd = Libvirtd(self.state / "libvirt")
        if not libvirtd.is_ready() and _SYSTEMD.is_dir():
            subprocess.run(["systemctl", "start", "libvirtd"], check=False, timeout=60)
        was_ours = libvirtd.is_ours
        try:
            libvirtd.start()
        except ServiceError as error:
            raise Failed(f"libvirtd does not come up: {error}", remedy=f"see {libvirtd.state_dir}/*.log") from error
        if not libvirtd.is_ours:
            # QEMU of a libvirt that is not ours runs as another user, who must be able to pass.
            self.state.chmod(self.state.stat().st_mode | 0o011)
            step.did = f"{libvirtd.uri} answers: this machine's own"
            return
        step.did = f"{libvirtd.uri} answers: " + ("ours, as before" if was_ours else "started virtlogd and libvirtd")

    def start_cloud(self, step: Step) -> None:
        """`nova-lite up` in the background, unless it runs.

        :raises Failed: it does not come up; with the end of its log.
        """
        url, pid = f"http://127.0.0.1:{self.port}", self.cloud_pid()
        if pid is not None:
            step.did = f"{url}: running since before, pid {pid}"
            return
        command = [str(self.venv / "bin" / "nova-lite"), "up", "--background", "--state", str(self.state),
                   "--port", str(self.port)]  # fmt: skip
        log = self.state / "nova-lite.log"
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:]) if log.exists() else ""
            raise Failed((done.stderr or done.stdout).strip(), detail=tail, remedy=f"read {log}")
        step.did = f"{url}: all services in one process, pid {self.cloud_pid()}"

    def make_image(self, step: Step) -> None:
        """The guest image of Debian's kernel and busybox.

        :raises Failed: it cannot be made.
        """
        self.own.mkdir(mode=0o700, exist_ok=True)
        lines = run_showing([str(ROOT / "tools" / "guest-image"), str(self.image)], step, what="making the image")
        own = _OWN_LINE.match(lines[-1]) if lines else None
        step.did = own[1] if own else str(self.image)

    def cloud_pid(self) -> int | None:
        """The pid of the cloud that `nova-lite up --background` started on this state; None: it does not run."""
        try:
            pid = int((self.state / "nova-lite.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if b"nova_lite.cmd.lite" in words and identify(pid) is not None else None

    def _require_free_port(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError as error:
                seen = subprocess.run(["ss", "-Hltnp", f"sport = :{self.port}"], capture_output=True, text=True,
                                      check=False).stdout if shutil.which("ss") else ""  # fmt: skip
                who = seen.partition("users:((")[2].partition(")")[0]
                raise Failed(f"port {self.port} is taken: {error.strerror}" + (f" by {who}" if who else ""),
                             remedy="end that program, or choose another port: --port N") from error  # fmt: skip


def known_port(clouds_file: Path) -> int | None:
    """The port of the cloud that was started on this state before."""
    try:
        url: str = json.loads(clouds_file.read_text())["clouds"][CLOUD]["auth"]["auth_url"]
        return int(url.partition("://")[2].partition("/")[0].rpartition(":")[2])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def run_showing(command: list[str], step: Step, *, what: str) -> list[str]:
    """Run a command whose lines are the step's progress; return them.

    :raises Failed: it failed; with its last lines.
    """
    lines: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                          text=True, errors="replace") as running:  # fmt: skip
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line.rstrip())
            own = _OWN_LINE.match(lines[-1])
            if own:                     # of the tool itself, not of apt or pip below it
                step.progress = own[1]
    if running.returncode:
        raise Failed(f"{what} failed: {' '.join(command)} ended with {running.returncode}", detail="\n".join(lines[-15:]),
                     remedy="see the lines above")  # fmt: skip
    return lines


def prepare(setup: Setup, screen: Screen) -> None:
    """The steps before the virtualenv is there."""
    with screen.step("machine") as step:
        setup.look(step)
    with screen.step("packages") as step:
        setup.install(step)


def _os_release() -> dict[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
