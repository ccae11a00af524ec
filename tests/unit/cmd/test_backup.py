# SPDX-License-Identifier: Apache-2.0
"""`nova-lite backup`: what it says of backups in this host's store."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from nova_lite.cmd.lite.main import execute
from nova_lite.volume.backups.archive import Archive, BackupKey
from nova_lite.volume.backups.directory_store import DirectoryStore

FULL = BackupKey("6c9b1a52-0000-4000-8000-000000000001", "6c9b1a52-0000-4000-8000-00000000000a")
MORE = FULL.of("6c9b1a52-0000-4000-8000-00000000000b")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory whose store has two backups of 512 bytes, the second without objects of its own."""
    archive = Archive(DirectoryStore(tmp_path / "backups"))
    for key, parent_id in ((FULL, ""), (MORE, FULL.backup_id)):
        archive.write(key, io.BytesIO(b"A" * 512), parent_id=parent_id, check=lambda: None)
    return tmp_path


def backup(state: Path, *arguments: str) -> int:
    (state / "nova.conf").touch()
    return execute(["backup", *arguments, "--state", str(state), "--config-file", str(state / "nova.conf")])


def test_a_list_has_a_line_for_each_backup(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup(state, "list") == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{FULL.backup_id}  volume {FULL.volume_id}  512 bytes, 1 objects",
        f"{MORE.backup_id}  volume {FULL.volume_id}  512 bytes, 0 objects, adds to {FULL.backup_id}"]


def test_whole_backups_are_verified(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup(state, "verify", MORE.backup_id) == 0
    assert "verified, 512 bytes" in capsys.readouterr().out


def test_a_damaged_backup_is_named_with_all_that_add_to_it(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (chunk,) = (path for path in (state / "backups").rglob("*") if path.is_file() and path.name != "manifest")
    chunk.write_bytes(b"garbage")
    assert backup(state, "verify", "--all") == 1
    assert [line.split(":")[1] for line in capsys.readouterr().err.splitlines()] == [
        f" chunk 0 of backup {one} is damaged" for one in (FULL.backup_id, MORE.backup_id)]


def test_a_backup_that_is_not_there_is_a_failure(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert backup(state, "verify", "elsewhere") == 1
    assert capsys.readouterr().err == "backup elsewhere: there is none in the store\n"


def test_a_verification_of_nothing_is_refused(state: Path) -> None:
    assert backup(state, "verify") == 2
