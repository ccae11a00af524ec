# SPDX-License-Identifier: Apache-2.0
"""The guest image is built, boots in bare QEMU, believes its metadata, and stops when its power button is pressed."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.wait import wait_until

TOOL = ROOT / "tools" / "guest-image"
BUILD_S = 280
# 5 s on a quiet machine, 20 s with others at work; TCG on a loaded CI machine may take longer still.
BOOT_S = 180
META_DATA = json.dumps(
    {
        "uuid": "5f0c0000-0000-4000-8000-000000000001",
        "meta": {"hostname": "not-this-one", "uuid": "nor-this"},
        "hostname": "web.novalocal",
        "public_keys": {"ssh-key": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd1ZXN0 a@b\n"},
        "keys": [{"name": "ssh-key", "type": "ssh", "data": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGd1ZXN0 a@b\n"}],
    }
).encode()
USER_DATA = (
    b"#!/bin/sh\n"
    b"for word in ping wget timeout nc ip; do command -v $word >/dev/null || echo NO-$word; done\n"
    b"echo USERDATA-RAN on $(hostname)\nwc -l </root/.ssh/authorized_keys\n\n"
)
TREE = {
    "/openstack/latest/meta_data.json": META_DATA,
    "/openstack/latest/user_data": USER_DATA,
    "/openstack/latest/vendor_data.json": b"{}",
    "/latest/meta-data/instance-id": b"i-0000002a",
}


class Qemu:
    """One guest under TCG: its serial log, its QMP socket, and port 80 of it on `http_port` of this machine."""

    def __init__(self, directory: Path, *, disk: Path, config_drive: Path | None, metadata_port: int) -> None:
        directory.mkdir()
        self._log, self._qmp = directory / "console.log", directory / "qmp"
        self.http_port = free_port()
        # The guest's network holds 169.254.169.254, which forwards to our metadata server.
        network = (
            "user,id=n,restrict=on,net=169.254.169.0/24,host=169.254.169.2,dhcpstart=169.254.169.15,"
            f"guestfwd=tcp:169.254.169.254:80-cmd:busybox nc 127.0.0.1 {metadata_port},"
            f"hostfwd=tcp:127.0.0.1:{self.http_port}-:80"
        )
        command = [
            "qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "pc", "-cpu", "max", "-m", "128",
            "-accel", "tcg,tb-size=32",
            "-drive", f"file={disk},if=virtio,format=qcow2",
            "-netdev", network, "-device", "virtio-net-pci,netdev=n",
            "-serial", f"file:{self._log}",
            "-qmp", f"unix:{self._qmp},server=on,wait=off",
        ]  # fmt: skip
        if config_drive:
            command += ["-drive", f"file={config_drive},media=cdrom,if=ide,format=raw,readonly=on"]
        with (directory / "qemu.log").open("w") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until a line of the log matches and return the match."""
        def match() -> re.Match[str] | None:
            has_ended = self._process.poll() is not None   # read before the log: its last line counts
            found = re.search(pattern, self.log, re.MULTILINE)
            assert found or not has_ended, f"QEMU ended without {pattern!r}: {self.log}"
            return found

        found = wait_until(match, repr(pattern), seconds=BOOT_S, details=lambda: self.log)
        assert found is not None
        return found

    def marker(self, word: str) -> str:
        """Wait for the marker `word` and return what follows it."""
        return self.wait_for(rf"^@@ [\d.]+ {word}\b *(.*?)\r?$").group(1)

    def press_power_button(self) -> int:
        """Request a shutdown by ACPI and return QEMU's exit status."""
        with socket.socket(socket.AF_UNIX) as channel:
            channel.settimeout(BOOT_S)
            channel.connect(str(self._qmp))
            with channel.makefile("r") as answers:
                for command in ("qmp_capabilities", "system_powerdown"):
                    channel.sendall(json.dumps({"execute": command}).encode() + b"\n")
                    # the greeting and events come in between
                    assert any(answer.startswith('{"return"') for answer in answers)
            return self._process.wait(BOOT_S)

    def end(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def build(out: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(TOOL), str(out), *arguments], capture_output=True, text=True, timeout=BUILD_S, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("guest-image") / "guest.qcow2"
    build(out)
    return out


@pytest.fixture(scope="module")
def metadata_port() -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = TREE.get(self.path)
            if content is None:
                return self.send_error(404)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return None

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def overlay(image: Path) -> Path:
    """A disk on the image, so that the image stays as it was built."""
    disk = image.with_name("disk.qcow2")
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(disk)],
        check=True, timeout=60,
    )  # fmt: skip
    return disk


@pytest.fixture(scope="module")
def config_drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("config-drive")
    for name in ("meta_data.json", "user_data"):
        path = directory / "tree" / "openstack" / "latest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(TREE[f"/openstack/latest/{name}"])
    drive = directory / "config.iso"
    subprocess.run(
        ["genisoimage", "-quiet", "-J", "-r", "-V", "config-2", "-o", str(drive), str(directory / "tree")],
        check=True, timeout=60,
    )  # fmt: skip
    return drive


@pytest.fixture(scope="module")
def first_boot(overlay: Path, config_drive: Path, metadata_port: int) -> Iterator[Qemu]:
    guest = Qemu(overlay.with_name("first"), disk=overlay, config_drive=config_drive, metadata_port=metadata_port)
    yield guest
    guest.end()


def test_the_image_has_a_kernel_and_an_initrd_beside_it(image: Path) -> None:
    assert image.with_suffix(".kernel").stat().st_size > 1_000_000
    assert image.with_suffix(".initrd").stat().st_size > 1_000_000


def test_a_second_build_does_nothing_and_says_so(image: Path) -> None:
    before = image.stat().st_mtime_ns
    assert "nothing to do" in build(image)
    assert image.stat().st_mtime_ns == before


def test_a_damaged_image_is_built_again(image: Path, tmp_path: Path) -> None:
    for name in (image, image.with_suffix(".kernel"), image.with_suffix(".initrd"), image.with_suffix(".inputs")):
        (tmp_path / name.name).write_bytes(name.read_bytes())
    damaged = tmp_path / image.name
    damaged.write_bytes(b"x")
    assert "made" in build(damaged)
    assert damaged.read_bytes()[:4] == b"QFI\xfb"
    assert not list(tmp_path.glob(".*")), "the build left its scratch directory behind"


def test_the_guest_takes_the_config_drive_first(first_boot: Qemu) -> None:
    assert first_boot.marker("READY") == "web login:"
    assert first_boot.marker("CONFIGDRIVE") == "/dev/sr0"
    assert first_boot.marker("METADATA") == (
        "source=configdrive hostname=web uuid=5f0c0000-0000-4000-8000-000000000001 keys=1"
    )


def test_the_guest_runs_its_user_data(first_boot: Qemu) -> None:
    assert first_boot.marker("USERDATA") == "rc=0"
    assert "USERDATA-RAN on web" in first_boot.log
    assert "NO-" not in first_boot.log


def test_the_guest_prints_which_bytes_each_source_gave(first_boot: Qemu) -> None:
    assert first_boot.marker("MDSHA") == f"http={digest(META_DATA)} cfg={digest(META_DATA)}"
    assert first_boot.marker("UDSHA") == f"http={digest(USER_DATA)} cfg={digest(USER_DATA)}"
    assert first_boot.marker("VENDOR") == f"http={digest(b'{}')} cfg=-"
    assert first_boot.marker("EC2META") == "instance-id=i-0000002a"


def test_the_guest_gets_an_address_and_serves_http(first_boot: Qemu) -> None:
    assert first_boot.marker("DHCP").startswith("eth0 169.254.169.15/24 gw=")
    first_boot.marker("READY")
    connection = http.client.HTTPConnection("127.0.0.1", first_boot.http_port, timeout=30)
    connection.request("GET", "/")
    assert connection.getresponse().read() == b"ok\n"


def test_the_power_button_stops_the_guest_cleanly_and_its_state_lasts(
    first_boot: Qemu, overlay: Path, metadata_port: int
) -> None:
    assert first_boot.marker("STATE").endswith("boots=1")
    first_boot.marker("READY")
    assert first_boot.press_power_button() == 0
    assert first_boot.marker("ACPI-POWEROFF") == ""
    second = Qemu(overlay.with_name("second"), disk=overlay, config_drive=None, metadata_port=metadata_port)
    try:
        assert second.marker("STATE").endswith("boots=2")
        assert second.marker("READY") == "web login:"
        assert "CONFIGDRIVE" not in second.log
        assert second.marker("METADATA").startswith("source=http hostname=web")
        assert second.marker("MDSHA") == f"http={digest(META_DATA)} cfg=-"
        assert second.press_power_button() == 0
    finally:
        second.end()
