# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/down: stops what the quickstart started; with --purge, removes all that it made."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.lib.quickstart.setup import DEFAULT_STATE, DEFAULT_VENV, options_of
from tools.lib.services import Libvirtd

_EPILOG = """\
Without --purge only the cloud's process ends: guests, their networks and libvirt go on, and tools/quickstart brings the
cloud back. Debian packages, the virtualenv and /var/cache/nova-lite stay in any case.
"""


def main(arguments: Sequence[str]) -> int:
    """Stop or remove, and return the exit status; nothing to do is fine."""
    parser = argparse.ArgumentParser(prog="tools/down", description="Stop what tools/quickstart started.",
                                     epilog=_EPILOG)  # fmt: skip
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR", help="default: %(default)s")
    parser.add_argument("--venv", type=Path, default=DEFAULT_VENV, metavar="DIR", help="default: .venv in the clone")
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
    status = _stop(options.venv.absolute(), state, purges=options.purge)
    if status:
        return status
    if not options.purge:
        where = options_of(state, options.venv.absolute())
        print(f"guests keep running; tools/quickstart{where} brings the cloud back, tools/down --purge{where} removes all of it")
        return 0
    if libvirtd is not None:
        libvirtd.purge()
        print("ended the libvirtd of the quickstart")
    shutil.rmtree(state / "quickstart", ignore_errors=True)
    left = sorted(path.name for path in state.iterdir()) if state.exists() else []
    if left:
        print(f"kept, since neither the cloud nor the quickstart made it: {', '.join(left)} in {state}")
    elif state.exists():
        _remove_empty(state)
    print("kept: Debian packages, the virtualenv, /var/cache/nova-lite")
    return 0


def _remove_empty(state: Path) -> None:
    """A directory that a file system is mounted on stays."""
    try:
        state.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


def _stop(venv: Path, state: Path, *, purges: bool) -> int:
    """What `nova-lite down` does, without its word on what is ours to remove; its exit status."""
    program = venv / "bin" / "nova-lite"
    if not program.exists():
        print(f"tools/down: there is no {program}\n  remedy: tools/install, or --venv DIR", file=sys.stderr)
        return 1
    command = [str(program), "down", "--state", str(state), *(["--purge"] if purges else [])]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    print("".join(line for line in done.stdout.splitlines(keepends=True) if not line.startswith(("kept,", "its guests"))), end="")
    return done.returncode
