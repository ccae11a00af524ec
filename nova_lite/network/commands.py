# SPDX-License-Identifier: Apache-2.0
"""Programs run on the host: argument lists, a time limit, and an error that carries what the program said."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from nova_lite.network.linux.namespaces import inside


class CommandFailed(Exception):
    """A program ended badly or not in time; the text names it and holds its last words."""


def run(args: Sequence[str], *, stdin: str = "", namespace: str | None = None, timeout_s: float = 20) -> str:
    """What the program prints; it runs in the network namespace `namespace`, None: the daemon's own.

    :raises CommandFailed: exit status other than 0, or `timeout_s` is over.
    """
    if namespace is not None:
        return inside(namespace, lambda: run(args, stdin=stdin, timeout_s=timeout_s))
    try:
        done = subprocess.run(
            list(args), input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False, close_fds=True,
        )
    except subprocess.TimeoutExpired as late:
        raise CommandFailed(f"{args[0]} did not end within {timeout_s:g} s") from late
    except OSError as error:
        raise CommandFailed(f"{args[0]} could not be run: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise CommandFailed(f"{' '.join(args[:4])}: status {done.returncode}: {said[-600:]}")
    return done.stdout
