# SPDX-License-Identifier: Apache-2.0
"""`nova-lite backup`: backups of volumes as they are in the store of this host, whether its database is there or not."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from nova_lite.cmd import settings
from nova_lite.volume.backups import configured
from nova_lite.volume.backups.archive import Archive, BackupKey
from nova_lite.volume.backups.store import StoreFailed

_EXAMPLES = ["nova-lite backup list", "nova-lite backup verify 6c9b1a52-0000-4000-8000-000000000001", "nova-lite backup verify --all"]


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "backup", run, summary="verify the backups of volumes that this host's store has", examples=_EXAMPLES,
        statuses=("0  all that was read is as it was written", "1  a backup is damaged or missing, and a line on stderr says which and why"))
    parser.add_argument("what", choices=["list", "verify"], help="list: print ids and sizes; verify: read every byte")
    parser.add_argument("ids", nargs="*", metavar="ID", help="the backups to verify")
    parser.add_argument("--all", action="store_true", help="verify all backups in the store")


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each backup; the exit status says whether all are whole."""
    archive = configured.archive(settings.load(arguments))
    known = archive.all()
    if arguments.what == "list" or arguments.all:
        keys, missing = known, list[str]()
    else:
        keys = [key for key in known if key.backup_id in arguments.ids]
        missing = sorted(set(arguments.ids) - {key.backup_id for key in keys})
    for backup_id in missing:
        print(f"backup {backup_id}: there is none in the store", file=sys.stderr)
    if arguments.what == "verify" and not (arguments.ids or arguments.all):
        print("nova-lite: name the backups to verify, or give --all", file=sys.stderr)
        return 2
    return 1 if sum(not _is_whole(archive, key, is_verified=arguments.what == "verify") for key in keys) or missing else 0


def _is_whole(archive: Archive, key: BackupKey, *, is_verified: bool) -> bool:
    """Print what the backup has, and whether it is whole."""
    try:
        found = archive.verify(key, check=_go_on) if is_verified else archive.manifest(key)
    except StoreFailed as error:
        print(f"backup {key.backup_id} of volume {key.volume_id}: {error}", file=sys.stderr)
        return False
    adds_to = f", adds to {found.parent_id}" if found.parent_id else ""
    verdict = "verified, " if is_verified else ""
    print(f"{key.backup_id}  volume {key.volume_id}  {verdict}{found.size} bytes, {len(found.own)} objects{adds_to}")
    return True


def _go_on() -> None:
    """Ctrl-C ends the command."""
