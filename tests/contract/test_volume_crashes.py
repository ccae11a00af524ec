# SPDX-License-Identifier: Apache-2.0
"""A volume worker that is killed anywhere, and sent again what it has not reported, ends where one ends that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nova_lite.rpc.volume import OwnedVolumes
from tests.support.paths import ROOT
from tests.support.volume_child import CLONE, OF_SNAPSHOT, RESTORED, SOURCE, open_child
from tests.support.volume_pools import missing_for
from tools.lib.services.service import free_port

KILLED = 137
POINTS = [
    "volume.create.record", "volume.create.made", "volume.file.rename", "volume.file.renamed", "volume.base.linked", "volume.snapshot.base",
    "volume.create_snapshot.made", "volume.extend.after", "volume.revert.after", "volume.export.made", "volume.unexport.record",
    "volume.create_backup.record", "volume.create_backup.copied", "volume.backup.object", "volume.backup.manifest", "volume.create_backup.made",
    "volume.restore_backup.before", "volume.restore_backup.after", "volume.delete_backup.record", "volume.delete_backup.removed",
    "volume.delete.record", "volume.delete.removed",
]
TGT_POINTS = ["volume.tgt.target", "volume.tgt.account", "volume.unexport.record"]


def run(conf_file: Path, point: str) -> int:
    environment = {**os.environ, "NOVA_LITE_FAILPOINTS": f"{point}=crash:once:{conf_file.with_name('killed')}", "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.volume_child", str(conf_file)], env=environment, capture_output=True,
        text=True, timeout=60, cwd=ROOT)
    assert "failed" not in ended.stdout, ended.stdout
    assert ended.returncode in (0, KILLED), ended.stderr
    return ended.returncode


def stored(directory: Path) -> list[str]:
    """The backups, with their objects, that are in the store."""
    root = directory / "backups"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def check_killed_at(point: str, directory: Path, driver: str) -> None:
    conf_file = directory / "nova.conf"
    conf_file.write_text(f"[DEFAULT]\nhost = node1\nstate_path = {directory}\n[local]\nvolume_driver = {driver}\ntarget_port = {free_port()}\n")
    assert run(conf_file, point) == KILLED
    assert run(conf_file, point) == 0
    child = open_child(conf_file)
    try:
        assert child.records.owned() == OwnedVolumes(volume_ids=(RESTORED.volume_id, CLONE.volume_id))
        assert child.pool.names() == {RESTORED.provider_name, CLONE.provider_name}
        assert list(child.pool.layout.partial.iterdir()) == []
        chunk, manifest = stored(directory)
        assert (len(chunk.rpartition("/")[2]), manifest) == (64, f"{SOURCE.volume_id}/{OF_SNAPSHOT.backup_id}/manifest")
        first = []
        for volume in (RESTORED, CLONE):
            with child.pool.image_of(volume, "raw", is_in_use=False, check=lambda: None) as image:
                first.append((image.read(1), image.seek(0, os.SEEK_END) >> 30))
            child.pool.delete(volume)
        assert first == [(b"A", 2), (b"B", 1)]
        assert list(child.pool.layout.root.glob("base-*")) == []
    finally:
        child.opened.remove_all()


@pytest.mark.skipif(bool(missing_for("directory-qcow2")), reason=f"not here: {missing_for('directory-qcow2')}")
@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_anywhere_goes_on(tmp_path: Path, point: str) -> None:
    check_killed_at(point, tmp_path, "directory")


@pytest.mark.skipif(bool(missing_for("tgt")), reason=f"not here: {missing_for('tgt')}")
@pytest.mark.parametrize("point", TGT_POINTS)
def test_a_worker_killed_while_it_exports_goes_on(tmp_path: Path, point: str) -> None:
    check_killed_at(point, tmp_path, "tgt")
