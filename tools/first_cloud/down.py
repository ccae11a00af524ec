# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/down: stops what the quickstart started; with --purge, removes all that it made."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.first_cloud.setup import DEFAULT_STATE, ROOT
from tools.parts import Libvirtd

_EPILOG = """\
Without --purge only the cloud's process ends: guests, their networks and libvirt go on, and tools/quickstart brings the
cloud back. Debian packages, the virtualenv and /var/cache/nova-lite stay in any case.
"""


def main(arguments: Sequence[str]) -> int:
    """Stop or remove, and return the exit status; nothing to do is fine."""
    parser = argparse.ArgumentParser(prog="tools/down", description="Stop what tools/quickstart started.",
                                     epilog=_EPILOG)  # fmt: skip
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", metavar="DIR", help="default: .venv in the clone")
    parser.add_argument("--purge", action="store_true",
                        help="also remove guests, networks, the libvirtd that was started for them, and all state")  # fmt: skip
    options = parser.parse_args(arguments)
    state: Path = options.state.absolute()
    if os.geteuid() != 0:
        print("tools/down: not root\n  remedy: sudo tools/down", file=sys.stderr)
        return 1
    if not state.exists():
        print(f"there is no {state}: nothing to do")
        return 0
    libvirtd = Libvirtd(state / "libvirt") if (state / "libvirt").exists() else None
    if options.purge and libvirtd is not None:
        libvirtd.start()               # what it runs can be removed only through it
    command = [str(options.venv / "bin" / "nova-lite"), "down", "--state", str(state)]
    status = subprocess.run([*command, "--purge"] if options.purge else command, check=False).returncode
    if status or not options.purge:
        return status
    if libvirtd is not None:
        libvirtd.purge()
        print("ended the libvirtd of the quickstart")
    shutil.rmtree(state / "quickstart", ignore_errors=True)
    if state.exists() and not any(state.iterdir()):
        state.rmdir()
    print("kept: Debian packages, the virtualenv, /var/cache/nova-lite")
    return 0
