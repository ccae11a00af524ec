# SPDX-License-Identifier: Apache-2.0
"""The compute worker on real libvirt: guests that boot, daemons that are killed, and nothing left over."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.compute.service import ComputeService
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc import payload, transport
from nova_lite.rpc.compute import ComputeRpc, ConsoleType, Guest, RebootType
from nova_lite.rpc.conductor import ConductorRpc, Outcome, PowerState, ServiceReport, StepReport
from nova_lite.rpc.interface import serve
from nova_lite.rpc.order import Order
from tests.support import boot_sector
from tests.support.conductor import NotForCompute
from tests.support.guests import ImageServer, guest_image, guest_of, image_server
from tests.support.private_libvirt import PrivateLibvirt, missing, private_libvirt
from tests.support.system import forks

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")
# A guest without KVM boots in six seconds; on two cores that ten others use, in fifty.
BOOT_S = 200.0
BUILD_STEPS = (
    "build.record", "build.fetch_image", "image.download", "image.convert", "image.keep", "build.make_disks",
    "build.make_config_drive", "build.start_guest", "build.finish",
)
DESTROY_STEPS = ("destroy.tombstone", "destroy.guest", "destroy.disks", "destroy.record", "destroy.finish")


@dataclasses.dataclass
class Conductor(NotForCompute):
    """What the worker reported."""

    steps: dict[Order, StepReport] = dataclasses.field(default_factory=dict)
    powers: list[tuple[str, int]] = dataclasses.field(default_factory=list)
    reports: list[ServiceReport] = dataclasses.field(default_factory=list)

    def run(self, ctxt: Context, *, action_id: int) -> None:
        """Workers do not poll for work."""

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.steps[report.order] = report

    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        """There is one worker."""

    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        self.powers.extend((seen.server_id, seen.state) for seen in states)

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        self.reports.append(status)


@dataclasses.dataclass
class Cloud:
    """One compute worker on a libvirtd of its own, and the images that its guests boot: Linux, and a boot sector."""

    directory: Path
    libvirt: PrivateLibvirt
    images: ImageServer
    small_images: ImageServer
    conductor: Conductor
    compute: ComputeRpc
    service: ComputeService
    actions: Iterator[int] = dataclasses.field(default_factory=lambda: iter(range(100, 1000)))

    def guest(self, **changes: object) -> Guest:
        guest = guest_of(self.images.image(), server_id=str(uuid.uuid4()), host="node1")
        return dataclasses.replace(guest, **changes)  # type: ignore[arg-type]

    def small_guest(self, **changes: object) -> Guest:
        """It boots a boot sector: for all that needs no operating system."""
        image = self.small_images.image(disk_format="raw", image_id="11111111-0000-4000-8000-000000000002")
        return self.guest(**{"image": image, **changes})

    def act(self, name: str, server_id: str, **more: object) -> Power:
        """Cast the action and wait for its outcome."""
        return self.do(name, server_id=server_id, **more)

    def do(self, name: str, *, order: Order | None = None, **arguments: object) -> Power:
        """Cast the step with the next order, or this one, and wait for its report; the power that the guest is in.

        :raises errors.WorkerError: it failed.
        """
        order = order or Order(epoch=1, action=next(self.actions))
        self.conductor.steps.pop(order, None)
        self._casts[name](Context(), order=order, **arguments)
        assert soon(lambda: order in self.conductor.steps, limit_s=BOOT_S)
        report = self.conductor.steps[order]
        if report.outcome is not Outcome.DONE:
            raise errors.WorkerError(reason=report.reason)
        return Power(report.power_state or 0)

    @property
    def _casts(self) -> dict[str, Callable[..., None]]:
        return {name: getattr(self.compute, name) for name in ComputeRpc.methods()}

    def console(self, server_id: str) -> str:
        return self.compute.console_output(Context(), server_id=server_id, length=None)

    def says(self, server_id: str, word: str, *, times: int = 1) -> bool:
        if soon(lambda: self.console(server_id).count(word) >= times, limit_s=BOOT_S):
            return True
        sys.stdout.write(self.console(server_id)[-2000:])
        return False


def soon(is_true: Callable[[], object], *, limit_s: float = 20) -> bool:
    limit = time.monotonic() + limit_s
    while not is_true():
        if time.monotonic() > limit:
            return False
        threading.Event().wait(0.1)
    return True


def configure(directory: Path, uri: str) -> Path:
    file = directory / "nova.conf"
    file.write_text(
        f"[DEFAULT]\nhost = node1\nstate_path = {directory}/state\ntransport_url = inprocess://\n"
        f"[libvirt]\nconnection_uri = {uri}\n[compute]\nshutdown_timeout = 30\n"
    )
    return file


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    directory = tmp_path_factory.mktemp("worker")
    image = guest_image(tmp_path_factory)
    with private_libvirt(directory / "libvirt") as libvirt, image_server(image) as images, image_server(boot_sector.disk()) as small:
        conf = options.load([], files=[str(configure(directory, libvirt.uri))])
        wire = transport.connect(conf)
        conductor = Conductor()
        server = serve(ConductorRpc, wire, "conductor1", [conductor])
        server.start()
        service = ComputeService(conf, wire)
        service.start()
        yield Cloud(directory, libvirt, images, small, conductor, ComputeRpc.client(wire, host="node1"), service)
        service.stop()
        server.stop()
        server.wait()


@pytest.fixture
def server(cloud: Cloud) -> Iterator[Guest]:
    """A guest with Linux that was built, and that is gone afterwards with all it had."""
    with built(cloud, cloud.guest()) as guest:
        yield guest


@pytest.fixture
def small(cloud: Cloud) -> Iterator[Guest]:
    """One with nothing but a boot sector."""
    with built(cloud, cloud.small_guest()) as guest:
        yield guest


@contextlib.contextmanager
def built(cloud: Cloud, guest: Guest) -> Iterator[Guest]:
    cloud.conductor.powers.clear()
    cloud.do("build", guest=guest)
    yield guest
    cloud.do("destroy", server_id=guest.server_id)
    assert nothing_left(cloud.libvirt, cloud.directory)


def nothing_left(libvirt: PrivateLibvirt, directory: Path) -> bool:
    domains = (libvirt.virsh("list", "--all", "--name") or "").split()
    disks = [path.name for path in (directory / "state" / "instances").iterdir() if path.name != "_base"]
    records = list((directory / "state" / "compute" / "guests").iterdir())
    return (domains, disks, records) == ([], [], [])


@contextlib.contextmanager
def typed(cloud: Cloud, server_id: str, text: str) -> Iterator[None]:
    """Type on the guest's serial console and stay at it."""
    with cloud.service.driver.consoles.connect(server_id, ConsoleType.SERIAL) as terminal:
        terminal.settimeout(2)
        said, is_quiet, limit = b"", True, time.monotonic() + BOOT_S
        # What comes before the guest's shell waits for it is lost: type until it answers, and let it come to rest.
        while not (b"shell2" in said and is_quiet) and time.monotonic() < limit:
            if is_quiet:
                terminal.sendall(b"\necho shell$((1+1))\n")
            try:
                said, is_quiet = said + terminal.recv(4096), False
            except TimeoutError:
                is_quiet = True
        terminal.sendall(text.encode())
        yield


def test_a_guest_lives_through_every_action(cloud: Cloud, small: Guest) -> None:
    name = small.server_id
    assert cloud.says(name, boot_sector.says(boots=1))
    assert cloud.act("pause", name) is Power.PAUSED
    assert cloud.act("unpause", name) is Power.RUNNING
    assert cloud.act("suspend", name) is Power.SUSPENDED
    assert cloud.act("resume", name) is Power.RUNNING
    assert boot_sector.OFF not in cloud.console(name)
    assert cloud.act("reboot", name, reboot_type=RebootType.SOFT) is Power.RUNNING
    assert cloud.says(name, boot_sector.says(boots=2))
    assert cloud.console(name).count(boot_sector.OFF) == 1
    assert cloud.act("stop", name) is Power.SHUTDOWN
    assert cloud.console(name).count(boot_sector.OFF) == 2
    assert cloud.act("start", name) is Power.RUNNING
    assert cloud.says(name, boot_sector.says(boots=3))
    assert cloud.act("reboot", name, reboot_type=RebootType.HARD) is Power.RUNNING
    assert cloud.says(name, boot_sector.says(boots=4))


def test_a_guest_with_linux_reads_its_config_drive_and_hears_the_power_button(cloud: Cloud, server: Guest) -> None:
    assert cloud.says(server.server_id, "READY web")
    assert "USERDATA-RAN" in cloud.console(server.server_id)
    assert re.search(r"STATE \S+ boots=1", cloud.console(server.server_id))
    assert cloud.act("stop", server.server_id) is Power.SHUTDOWN
    assert cloud.console(server.server_id).count("reboot: Power down") == 1


def test_a_guest_that_powers_itself_off_is_reported(cloud: Cloud, small: Guest) -> None:
    assert cloud.says(small.server_id, boot_sector.says(boots=1))
    off = (small.server_id, Power.SHUTDOWN)
    with cloud.service.driver.consoles.connect(small.server_id, ConsoleType.SERIAL) as terminal:
        terminal.sendall(b"off")
        assert soon(lambda: off in cloud.conductor.powers, limit_s=60)


def test_what_happened_while_libvirtd_was_dead_is_reported(cloud: Cloud, small: Guest) -> None:
    pid = qemu_of(small)
    cloud.libvirt.kill9()
    os.kill(pid, signal.SIGKILL)
    cloud.libvirt.start()
    reported = {(small.server_id, state) for state in (Power.SHUTDOWN, Power.CRASHED)}
    assert soon(lambda: reported & set(cloud.conductor.powers))


def test_actions_wait_for_a_libvirtd_that_restarts(cloud: Cloud, small: Guest) -> None:
    cloud.libvirt.kill9()
    restart = threading.Timer(1.0, cloud.libvirt.start)
    restart.start()
    assert cloud.act("pause", small.server_id) is Power.PAUSED
    restart.join()


@pytest.mark.timed
def test_a_libvirtd_that_does_not_answer_holds_nobody_up(
    cloud: Cloud, small: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = cloud.service.driver.domains._connection  # as if the worker had been started with a lower call_timeout
    began = time.monotonic()
    with cloud.libvirt.frozen(), monkeypatch.context() as patch, pytest.raises(errors.HypervisorFailed):
        patch.setattr(connection, "_timeout_s", 8.0)
        cloud.service.driver.power.pause(small.server_id)
    assert 8 <= time.monotonic() - began < 23
    assert cloud.act("pause", small.server_id) is Power.PAUSED


def test_ten_guests_requested_at_once_share_one_download(cloud: Cloud) -> None:
    before = cloud.images.requests
    image = dataclasses.replace(cloud.images.image(), id=str(uuid.uuid4()))
    # Paused guests need no processor: ten on two cores would not boot in time.
    guests = [cloud.guest(image=image, ram_mb=32, instance_name=f"many-{number}") for number in range(10)]
    threads = [threading.Thread(target=_build_and_pause, args=(cloud, guest)) for guest in guests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOOT_S)
    assert sorted(cloud.compute.owned_unless(Context(), digest="").server_ids) == sorted(guest.server_id for guest in guests)
    assert cloud.images.requests == before + 1
    for guest in guests:
        cloud.do("destroy", server_id=guest.server_id)
    assert nothing_left(cloud.libvirt, cloud.directory)


def _build_and_pause(cloud: Cloud, guest: Guest) -> None:
    cloud.do("build", guest=guest)
    cloud.libvirt.virsh("suspend", guest.server_id)


def test_a_guest_that_cannot_start_leaves_nothing_and_says_why(cloud: Cloud) -> None:
    guest = cloud.guest(ram_mb=1 << 30)
    with pytest.raises(errors.WorkerError, match=r"host node1.*start the guest"):
        cloud.do("build", guest=guest)
    assert nothing_left(cloud.libvirt, cloud.directory)


def test_the_heartbeat_says_what_the_host_has_and_why_it_runs_guests_so(cloud: Cloud) -> None:
    assert soon(lambda: cloud.conductor.reports)
    offer = cloud.conductor.reports[-1].inventories[0]
    assert offer.virt_type in ("kvm", "qemu")
    assert offer.virt_reason
    assert json.loads(offer.cpu_info)["arch"] == offer.architecture


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, PrivateLibvirt, ImageServer]]:
    """A worker's state, whose process a test kills and runs again."""
    directory = tmp_path_factory.mktemp("killed")
    disk = directory / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "16M"], check=True, timeout=30)
    with private_libvirt(directory / "libvirt") as libvirt, image_server(disk) as images:
        configure(directory, libvirt.uri)
        yield directory, libvirt, images


def run_child(directory: Path, what: str, guest: Guest, *, crash_at: str = "") -> tuple[int, dict[str, object]]:
    """Exit status and answer of one worker process."""
    file = directory / "guest.json"
    file.write_text(json.dumps(payload.to_wire(guest)))
    environment = {**os.environ, "NOVA_LITE_FAILPOINTS": f"{crash_at}.before=crash" if crash_at else ""}
    with open(directory / "child.log", "ab") as log:
        child = forks.start(forks.COMPUTE, [str(directory / "nova.conf"), what, str(file)], environment=environment, log=log, is_piped=True)
    code, printed = child.communicate(timeout=120)
    return code, json.loads(printed) if code == 0 else {}


@pytest.mark.parametrize("step", BUILD_STEPS)
def test_a_worker_killed_while_building_finishes_when_requested_again(
    killed: tuple[Path, PrivateLibvirt, ImageServer], step: str
) -> None:
    directory, libvirt, images = killed
    image = images.image(image_id=str(uuid.uuid4()))
    guest = guest_of(image, server_id=str(uuid.uuid4()), host="node1")
    assert run_child(directory, "build", guest, crash_at=step)[0] == 137
    assert run_child(directory, "build", guest) == (0, {"owned": [guest.server_id]})
    assert (libvirt.virsh("domstate", guest.server_id) or "").strip() == "running"
    assert run_child(directory, "destroy", guest) == (0, {"owned": []})
    assert nothing_left(libvirt, directory)
    assert not list((directory / "state" / "instances" / "_base").glob("*.part*"))


@pytest.mark.parametrize("step", DESTROY_STEPS)
def test_a_worker_killed_while_destroying_finishes(
    killed: tuple[Path, PrivateLibvirt, ImageServer], step: str
) -> None:
    directory, libvirt, images = killed
    guest = guest_of(images.image(), server_id=str(uuid.uuid4()), host="node1")
    assert run_child(directory, "build", guest)[0] == 0
    assert run_child(directory, "destroy", guest, crash_at=step)[0] == 137
    assert run_child(directory, "destroy", guest) == (0, {"owned": []})
    assert nothing_left(libvirt, directory)


def qemu_of(guest: Guest) -> int:
    """The process that runs the guest."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"qemu-system-x86_64") and guest.server_id.encode() in words:
            return int(entry.parent.name)
    raise AssertionError(f"no process runs {guest.server_id}")
