# SPDX-License-Identifier: Apache-2.0
"""The store of backups that nova.conf names."""

from __future__ import annotations

from pathlib import Path

from oslo_config import cfg

from nova_lite.volume.backups.archive import Archive
from nova_lite.volume.backups.directory_store import DirectoryStore


def archive(conf: cfg.ConfigOpts) -> Archive:
    """The backups of this host's store."""
    assert conf.volume.backup_driver == "directory"  # there is no other
    root = Path(conf.volume.backup_path or Path(conf.state_path) / "backups").absolute()
    return Archive(DirectoryStore(root, min_free_gb=conf.backend_defaults.min_free_gb))
