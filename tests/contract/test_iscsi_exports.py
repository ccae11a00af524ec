# SPDX-License-Identifier: Apache-2.0
"""Volumes exported by iSCSI, as initiators see them: who may log in, what a crash of the target does, and how a host is cut off."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import logging
import os
import signal
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.rpc.volume import Connector, Content, Export, Volume
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.tgt.control import Mode, Op, parse
from nova_lite.volume.tgt.exports import TargetExports
from nova_lite.worker import commands, qemu_img
from tests.support.volume_pools import Subject, missing_for, pool_of
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(bool(missing_for("tgt")), reason=f"not here: {missing_for('tgt')}")
INITIATOR = "iqn.2026-12.test:node1"
_PROMPT = "qemu-io> "


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Subject]:
    with pool_of("tgt", tmp_path) as made:
        yield made


@pytest.fixture
def exports(subject: Subject) -> TargetExports:
    assert isinstance(subject.exports, TargetExports)
    return subject.exports


@dataclasses.dataclass
class Exported:
    """A volume and its connection."""

    export: Export
    data: dict[str, Any]
    path: Path

    def target(self, initiator: str = INITIATOR) -> dict[str, Any]:
        """As QEMU's driver has it, without the password."""
        return {"portal": self.data["target_portal"], "target": self.data["target_iqn"], "lun": self.data["target_lun"],
                "user": self.data["auth_username"], "initiator-name": initiator}

    def log_in(self, *, password: str | None = None, initiator: str = INITIATOR) -> None:
        qemu_img.log_in(self.target(initiator), password=password or self.data["auth_password"], timeout_s=5)


def exported(subject: Subject, *, volume: Volume | None = None, is_read_only: bool = False) -> Exported:
    volume = volume or subject.created(Content())
    export = Export(attachment_id=str(uuid.uuid4()), volume=volume, is_read_only=is_read_only,
                    connector=Connector(host="node1", ip="127.0.0.1", initiator=INITIATOR))
    connection = subject.exports.export(export)
    assert connection["driver_volume_type"] == "iscsi"
    assert isinstance(subject.pool, DirectoryPool)
    return Exported(export, connection["data"], subject.pool.path_of(volume))


def qemu_io(one: Exported, *options: str) -> list[str]:
    """The command that opens the volume as QEMU does."""
    image = "json:" + json.dumps({"driver": "raw", "file": {
        "driver": "iscsi", "transport": "tcp", "password-secret": "chap", **one.target()}})
    return ["qemu-io", *options, "--object", f"secret,id=chap,data={one.data['auth_password']}", image]


class Guest:
    """A QEMU that has the volume open, and does one command after the other."""

    def __init__(self, one: Exported) -> None:
        self._process = subprocess.Popen(
            qemu_io(one), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.result()

    def begin(self, command: str) -> None:
        """One command, as the next is taken when this is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def result(self) -> str:
        """What it says of the command when that is done."""
        assert self._process.stdout is not None
        said = ""
        while not said.endswith(_PROMPT) and (letter := self._process.stdout.read(1)):
            said += letter
        return said.removesuffix(_PROMPT)

    def run(self, command: str) -> str:
        self.begin(command)
        return self.result()

    def write(self, letter: str, *, at: str = "0") -> str:
        """What it says of having written 64 KiB, through to the disk."""
        return self.run(f"write -f -P {ord(letter)} {at} 64k")

    def end(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)


@contextlib.contextmanager
def guest_of(one: Exported) -> Iterator[Guest]:
    guest = Guest(one)
    try:
        yield guest
    finally:
        guest.end()


def first(one: Exported) -> str:
    with one.path.open("rb") as disk:
        return disk.read(1).decode()


def pid_of(exports: TargetExports) -> int:
    return int(json.loads((exports.daemon._pid_file).read_text())[0])


def test_a_host_reads_and_writes_the_volume_by_its_connection(subject: Subject) -> None:
    one = exported(subject)
    with guest_of(one) as guest:
        assert guest.write("A").startswith("wrote 65536/65536")
    assert first(one) == "A"


def test_a_wrong_password_is_refused(subject: Subject) -> None:
    one = exported(subject)
    one.log_in()
    with pytest.raises(commands.CommandFailed, match="[Aa]uthenti|log ?in|Login"):
        one.log_in(password="another-password")


def test_another_host_is_refused(subject: Subject) -> None:
    one = exported(subject)
    with pytest.raises(commands.CommandFailed):
        one.log_in(initiator="iqn.2026-12.test:node2")


def test_the_password_of_one_attachment_opens_no_other(subject: Subject) -> None:
    one, other = exported(subject), exported(subject)
    assert one.data["auth_password"] != other.data["auth_password"]
    with pytest.raises(commands.CommandFailed):
        one.log_in(password=other.data["auth_password"])
    with pytest.raises(commands.CommandFailed):
        dataclasses.replace(other, data={**other.data, "target_iqn": one.data["target_iqn"]}).log_in()


def test_a_read_only_export_cannot_be_written(subject: Subject) -> None:
    one = exported(subject, is_read_only=True)
    reading = subprocess.run(qemu_io(one, "-r", "-c", "read -P 0 0 64k"), capture_output=True, text=True, timeout=30)
    writing = subprocess.run(qemu_io(one, "-c", "write -P 65 0 64k"), capture_output=True, text=True, timeout=30)
    assert (reading.returncode, reading.stdout.split(" bytes")[0]) == (0, "read 65536/65536")
    assert "write protected" in writing.stderr
    assert first(one) == "\0"


def test_attachments_of_one_volume_share_its_content(subject: Subject) -> None:
    one = exported(subject)
    other = exported(subject, volume=one.export.volume)
    with guest_of(one) as guest, guest_of(other) as reader:
        guest.write("A")
        assert reader.run("read -P 65 0 64k").startswith("read 65536/65536")


@pytest.mark.parametrize("connector", [
    Connector(host="node1"), Connector(host="node1", initiator="ALL"), Connector(host="node1", ip="ALL"),
    Connector(host="node1", initiator="iqn.x:y,initiator-address=ALL"), Connector(host="node1", ip="0.0.0.0/0"),
    Connector(host="node1", initiator="iqn.*"),
])
def test_a_connector_that_would_let_others_in_is_refused(subject: Subject, exports: TargetExports, connector: Connector) -> None:
    volume = subject.created(Content())
    with pytest.raises(errors.VolumeFailed, match="neither an iSCSI initiator nor an IP address"):
        exports.export(Export(attachment_id=str(uuid.uuid4()), volume=volume, connector=connector))
    assert exports.daemon.control.targets() == {}


def test_writes_go_on_after_the_target_daemon_was_killed(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    with guest_of(one) as guest:
        guest.write("A")
        before = pid_of(exports)
        os.kill(before, signal.SIGKILL)
        assert guest.write("B", at="64k").startswith("wrote 65536/65536")
        assert pid_of(exports) != before
    with one.path.open("rb") as disk:
        assert disk.read(65537) == b"A" * 65536 + b"B"


def test_a_worker_that_starts_again_finds_the_daemon_and_its_sessions(subject: Subject, exports: TargetExports) -> None:
    one, gone = exported(subject), exported(subject)
    with guest_of(one) as guest:
        guest.write("A")
        before, target = pid_of(exports), exports.daemon.control.targets()[one.data["target_iqn"]]
        exports.close()
        exports.restore([one.export])
        after = exports.daemon.control.targets()
        assert (pid_of(exports), after) == (before, {target.name: target})
        assert guest.write("B").startswith("wrote")
    assert gone.data["target_iqn"] not in after


def test_an_unfinished_target_is_made_anew(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    target = exports.daemon.control.targets()[one.data["target_iqn"]]
    exports.daemon.control.send(Mode.TARGET, Op.UNBIND, tid=target.tid, params=f"initiator-name={INITIATOR}")
    with pytest.raises(commands.CommandFailed):
        one.log_in()
    exports.export(one.export)
    one.log_in()
    assert len(exports.daemon.control.targets()) == 1


def test_an_export_that_tgtd_has_lost_comes_back(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    target = exports.daemon.control.targets()[one.data["target_iqn"]]
    exports.daemon.control.send(Mode.TARGET, Op.DELETE, tid=target.tid, is_forced=True)
    exports.daemon.control.send(Mode.TARGET, Op.NEW, tid=9, params="targetname=iqn.2026-12.test:foreign")
    exports.check()
    one.log_in()
    assert list(exports.daemon.control.targets()) == [one.data["target_iqn"]]


def test_a_host_that_was_cut_off_writes_no_more(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    with guest_of(one) as guest:
        guest.write("A")
        exports.unexport(one.export)
        assert exports.daemon.control.targets() == {}
        guest.begin("write -f -P 66 0 64k")
        with pytest.raises(commands.CommandFailed):
            one.log_in()
        assert first(one) == "A"
        exports.export(one.export)
        assert guest.result().startswith("wrote")
    assert first(one) == "B"


def test_a_volume_that_grows_shows_its_new_size_to_those_that_have_it(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    with guest_of(one) as guest:
        guest.write("A")
        grown = subject.resized(one.export.volume, size_gb=2)
        subject.pool.extend(grown, is_in_use=True)
        exports.extended(grown)
        guest.run("truncate 2G")
        assert guest.write("B", at="1536M").startswith("wrote 65536/65536")
        assert guest.write("C").startswith("wrote 65536/65536")
    assert first(one) == "C"


def test_no_write_is_lost_while_the_size_changes_under_it(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    said: list[str] = []
    has_grown = threading.Event()

    def write_on(guest: Guest) -> None:
        while not has_grown.is_set():
            number = len(said)
            said.append(guest.run(f"write -f -P {number % 251 + 1} {number * 64}k 64k"))

    with guest_of(one) as guest:
        writer = threading.Thread(target=write_on, args=(guest,))
        writer.start()
        for size_gb in range(2, 4):
            wait_until(functools.partial(lambda count: len(said) >= count, len(said) + 3))
            grown = subject.resized(one.export.volume, size_gb=size_gb)
            subject.pool.extend(grown, is_in_use=True)
            exports.extended(grown)
        has_grown.set()
        writer.join()
    assert [result for result in said if not result.startswith("wrote 65536/65536")] == []
    with one.path.open("rb") as disk:
        assert [number for number in range(len(said)) if disk.read(65536) != bytes([number % 251 + 1]) * 65536] == []


def test_no_password_is_in_a_log_or_in_arguments(subject: Subject, exports: TargetExports, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    one = exported(subject)
    one.log_in()
    password = one.data["auth_password"]
    assert len(password) == 20
    assert password not in caplog.text
    assert password not in exports.daemon._log.read_text(errors="replace")
    assert password not in Path(f"/proc/{pid_of(exports)}/cmdline").read_text()


def test_a_port_that_is_taken_is_named(tmp_path: Path, subject: Subject, exports: TargetExports) -> None:
    options = dataclasses.make_dataclass("Options", ["host", "target_address", "target_port", "target_prefix", "run_directory"])(
        "node1", "127.0.0.1", int(exports._portal.rpartition(":")[2]), "iqn.x:", tmp_path / "run")
    assert isinstance(subject.pool, DirectoryPool)
    second = TargetExports(subject.pool, options)
    with pytest.raises(errors.VolumeFailed, match="could not start the iSCSI target: tgtd did not start"):
        second.restore([])


def test_everything_ends_when_all_is_removed(subject: Subject, exports: TargetExports) -> None:
    one = exported(subject)
    pid = pid_of(exports)
    exports.remove_all()
    assert not exports.daemon._directory.exists()
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes())
    with pytest.raises(commands.CommandFailed):
        one.log_in()


def test_what_tgtd_shows_is_read() -> None:
    shown = (
        "Target 3: iqn.x:a\n    System information:\n        Driver: iscsi\n        State: ready\n    I_T nexus information:\n"
        "        I_T nexus: 5\n            Initiator: iqn.y alias: Target 9: no\n            Connection: 0\n                IP Address: 127.0.0.1\n"
        "    LUN information:\n        LUN: 0\n            Type: controller\n            Backing store path: None\n        LUN: 1\n"
        "            Type: disk\n            Backing store path: /pool/volume: 1\n    Account information:\n        user1\n"
        "    ACL information:\n        iqn.y\n        127.0.0.1\nTarget 4: iqn.x:b\n    ACL information:\n")
    first_target, second = parse(shown)
    assert (first_target.tid, first_target.name, first_target.path) == (3, "iqn.x:a", "/pool/volume: 1")
    assert (first_target.connections, first_target.accounts, first_target.acls) == (((5, 0),), ("user1",), ("iqn.y", "127.0.0.1"))
    assert (second.tid, second.acls) == (4, ())
