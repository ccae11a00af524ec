# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises, checked on the simulated one and on real libvirt alike."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.compute.virt.driver import Driver
from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.compute.virt.libvirt.hardware import capability_probe
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import ConsoleType, Guest
from tests.support.guests import ImageServer, guest_of, image_server
from tests.support.private_libvirt import missing, private_libvirt

# A disk of zeros: the firmware finds nothing to boot, which is all that these tests need.
DISK = bytes(1 << 20)


@dataclasses.dataclass
class Subject:
    """A driver, where it keeps files, what it reported about power, and how a bridge for a NIC is made."""

    driver: Driver
    images: ImageServer
    seen: list[tuple[str, Power]]
    instances: Path
    bridge: Callable[[str], contextlib.AbstractContextManager[None]]

    def guest(self) -> Guest:
        return guest_of(self.images.image(disk_format="raw"), server_id=str(uuid.uuid4()), host="node1")

    def started(self) -> Guest:
        guest = self.guest()
        self.prepare(guest)
        self.driver.power.start(guest)
        return guest

    def prepare(self, guest: Guest) -> None:
        self.driver.images.fetch(guest, check=lambda: None)
        self.driver.disks.make(guest)
        self.driver.disks.make_config_drive(guest)

    def hears(self, server_id: str, power: Power) -> bool:
        """Whether the driver reports this power within ten seconds."""
        return _soon(lambda: (server_id, power) in self.seen)


def _soon(is_true: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 10
    while not is_true():
        if time.monotonic() > limit:
            return False
        threading.Event().wait(0.02)
    return True


def _conf(directory: Path, text: str = "") -> cfg.ConfigOpts:
    file = directory / "nova.conf"
    file.write_text(f"[DEFAULT]\nhost = node1\nstate_path = {directory}/state\n{text}")
    conf = options.load([], files=[str(file)])
    if missing() == []:
        conf.set_default("virt_type", _virt_type(), "libvirt")
    return conf


@functools.cache
def _virt_type() -> str:
    """How guests run here: found out once, each worker on a fresh directory would run its test guest for a second."""
    return capability_probe.probe("/usr/bin/qemu-system-x86_64").type


@contextlib.contextmanager
def _bridge(name: str) -> Iterator[None]:
    subprocess.run(["ip", "link", "add", name, "type", "bridge"], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "del", name], check=True, timeout=10)


@pytest.fixture(scope="module", params=[
    "fake",
    pytest.param("libvirt", marks=pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")),
])
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Subject]:
    directory = tmp_path_factory.mktemp(request.param)
    seen: list[tuple[str, Power]] = []
    with image_server(DISK) as images:
        if request.param == "fake":
            made = Subject(
                FakeDriver(_conf(directory)), images, seen, directory / "none", lambda name: contextlib.nullcontext())
            made.driver.host.open(lambda server_id, power: seen.append((server_id, power)))
            yield made
            return
        with private_libvirt(directory / "libvirt") as daemons:
            conf = _conf(directory, f"[libvirt]\nconnection_uri = {daemons.uri}\n")
            made = Subject(LibvirtDriver(conf), images, seen, directory / "state" / "instances", _bridge)
            made.driver.host.open(lambda server_id, power: seen.append((server_id, power)))
            yield made
            made.driver.host.close()


@pytest.fixture(autouse=True)
def _nothing_left(subject: Subject) -> Iterator[None]:
    yield
    for server_id in subject.driver.guests.list_ours():
        subject.driver.guests.destroy(server_id)
    for server_id in subject.driver.disks.owners():
        subject.driver.disks.remove(server_id)


def test_an_unknown_guest_has_no_state(subject: Subject) -> None:
    assert subject.driver.power.state(str(uuid.uuid4())) is Power.NOSTATE


def test_a_started_guest_runs_and_is_listed(subject: Subject) -> None:
    guest = subject.started()
    assert subject.driver.guests.list_ours() == {guest.server_id: Power.RUNNING}
    assert subject.driver.disks.owners() == {guest.server_id}


def test_a_start_is_heard_of(subject: Subject) -> None:
    guest = subject.started()
    assert subject.hears(guest.server_id, Power.RUNNING)


def test_every_step_of_a_build_may_be_done_twice(subject: Subject) -> None:
    guest = subject.started()
    subject.prepare(guest)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_defined_guest_is_off(subject: Subject) -> None:
    guest = subject.guest()
    subject.prepare(guest)
    subject.driver.guests.define(guest)
    assert subject.driver.power.state(guest.server_id) is Power.SHUTDOWN


def test_define_leaves_a_running_guest_alone(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.guests.define(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_stop_ends_a_guest_that_does_not_listen(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0.5)
    assert subject.driver.power.state(guest.server_id) is Power.SHUTDOWN
    assert subject.hears(guest.server_id, Power.SHUTDOWN)


def test_stop_without_a_timeout_pulls_the_plug(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert subject.driver.power.state(guest.server_id) is Power.SHUTDOWN


def test_a_stopped_guest_may_be_stopped_and_started(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.power.stop(guest.server_id, timeout_s=1)
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_pause_and_unpause_may_be_done_twice(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.pause(guest.server_id)
    subject.driver.power.pause(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.PAUSED
    subject.driver.power.unpause(guest.server_id)
    subject.driver.power.unpause(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_suspend_and_resume_may_be_done_twice(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.suspend(guest.server_id)
    subject.driver.power.suspend(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.SUSPENDED
    subject.driver.power.resume(guest)
    subject.driver.power.resume(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_paused_guest_can_be_suspended_and_runs_when_resumed(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.pause(guest.server_id)
    subject.driver.power.suspend(guest.server_id)
    subject.driver.power.resume(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_suspended_guest_that_is_stopped_keeps_its_memory(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.suspend(guest.server_id)
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert subject.driver.power.state(guest.server_id) is Power.SUSPENDED
    subject.driver.power.start(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


@pytest.mark.parametrize("before", ["running", "paused", "off", "suspended"])
def test_a_hard_reboot_leads_from_everywhere_to_running(subject: Subject, before: str) -> None:
    guest = subject.started()
    {
        "running": lambda: None, "paused": lambda: subject.driver.power.pause(guest.server_id),
        "off": lambda: subject.driver.power.stop(guest.server_id, timeout_s=0),
        "suspended": lambda: subject.driver.power.suspend(guest.server_id),
    }[before]()
    subject.driver.power.reboot_hard(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_soft_reboot_of_a_guest_that_is_off_is_not_done(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert not subject.driver.power.reboot_soft(guest.server_id, timeout_s=1)


@pytest.mark.parametrize("action", ["pause", "unpause", "suspend"])
def test_a_guest_that_is_not_there_is_refused(subject: Subject, action: str) -> None:
    with pytest.raises(errors.HypervisorFailed):
        getattr(subject.driver.power, action)(str(uuid.uuid4()))


def test_a_guest_that_is_off_cannot_be_paused(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    with pytest.raises(errors.HypervisorFailed, match="host node1"):
        subject.driver.power.pause(guest.server_id)


def test_destroy_forgets_the_guest_and_may_be_done_twice(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.guests.destroy(guest.server_id)
    subject.driver.guests.destroy(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.NOSTATE
    assert guest.server_id not in subject.driver.guests.list_ours()


def test_destroy_forgets_saved_memory(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.power.suspend(guest.server_id)
    subject.driver.guests.destroy(guest.server_id)
    assert subject.driver.power.state(guest.server_id) is Power.NOSTATE


def test_nothing_is_left_after_the_disks_are_removed(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.guests.destroy(guest.server_id)
    assert subject.driver.disks.owners() <= {guest.server_id}
    subject.driver.disks.remove(guest.server_id)
    subject.driver.disks.remove(guest.server_id)
    assert not (subject.instances / guest.server_id).exists()
    assert subject.driver.disks.owners() == frozenset()


def test_a_console_can_be_read(subject: Subject) -> None:
    guest = subject.started()
    assert isinstance(subject.driver.consoles.output(guest.server_id), str)


def test_an_image_is_fetched_before_any_guest_needs_it(subject: Subject) -> None:
    guest = subject.guest()
    subject.driver.images.cache(guest.image)
    subject.driver.images.cache(guest.image)
    subject.driver.disks.make(guest)


def test_a_check_that_raises_ends_the_fetching(subject: Subject) -> None:
    guest = subject.guest()
    image = dataclasses.replace(guest.image, id=str(uuid.uuid4()))

    def give_up() -> None:
        raise errors.StaleRequest(id=guest.server_id, fence=1, known=2)

    with pytest.raises(errors.StaleRequest):
        subject.driver.images.fetch(dataclasses.replace(guest, image=image), check=give_up)


def test_the_inventory_names_the_host_and_says_why(subject: Subject) -> None:
    offer = subject.driver.host.inventory()[0]
    assert offer.host == "node1"
    assert offer.virt_reason
    assert offer.ram_mb > 0


def test_cleaning_keeps_what_is_needed(subject: Subject) -> None:
    guest = subject.started()
    subject.driver.host.clean([guest])
    subject.driver.power.reboot_hard(guest)
    assert subject.driver.power.state(guest.server_id) is Power.RUNNING


def test_a_running_guest_shows_its_screen(subject: Subject) -> None:
    guest = subject.started()
    with subject.driver.consoles.connect(guest.server_id, ConsoleType.NOVNC) as screen:
        screen.settimeout(10)
        assert screen.recv(12) == b"RFB 003.008\n"


def test_a_running_guest_has_a_serial_port(subject: Subject) -> None:
    guest = subject.started()
    with subject.driver.consoles.connect(guest.server_id, ConsoleType.SERIAL) as line:
        line.settimeout(10)
        line.sendall(b"hello")


def test_the_console_of_no_guest_is_refused(subject: Subject) -> None:
    with pytest.raises(errors.HypervisorFailed):
        subject.driver.consoles.connect(str(uuid.uuid4()), ConsoleType.SERIAL)
