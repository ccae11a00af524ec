# SPDX-License-Identifier: Apache-2.0
"""The copy of a snapshot that a backup is read from."""

from __future__ import annotations

import dataclasses

from nova_lite.rpc.volume import Backup, Volume


def copy_for(backup: Backup) -> Volume:
    """The volume that is there only while its backup is made; a crash leaves it to the next start of its worker."""
    return dataclasses.replace(backup.volume, volume_id=backup.backup_id, provider_name=f"backup-{backup.backup_id}")
