# SPDX-License-Identifier: Apache-2.0
"""Named points where tests make a process crash, fail or wait: always compiled in, armed only by an operator's hand.

Arm with `[DEFAULT] failpoints` or the environment's NOVA_LITE_FAILPOINTS: `build.start_guest.before=crash`,
`=error`, `=delay:2.5`; several by comma. `=crash:once:FILE` crashes only while FILE does not exist, and makes it.
NOVA_LITE_FAILPOINTS_FILE names a file with the same text, read at every point: it may change while daemons run.
"""

from __future__ import annotations

import contextlib
import os
import time

from nova_lite import errors

_armed: dict[str, str] = {}
_file = os.environ.get("NOVA_LITE_FAILPOINTS_FILE", "")


def arm(spec: str) -> None:
    """Replace what is armed by `name=what,name=what`; an empty text disarms all."""
    _armed.clear()
    for entry in spec.split(","):
        name, _, what = entry.strip().partition("=")
        if what:
            _armed[name] = what


def fail(name: str) -> None:
    """Do what is armed at this point: nothing, unless a test says otherwise.

    :raises errors.WorkerError: armed with `error`.
    """
    if _file:
        with contextlib.suppress(FileNotFoundError), open(_file) as file:
            arm(file.read())
    if _armed:
        _act(name, _armed.get(name))


def _act(name: str, what: str | None) -> None:
    if what is None:
        return
    kind, _, rest = what.partition(":")
    if kind == "delay":
        time.sleep(float(rest))
    elif kind == "error":
        raise errors.WorkerError(reason=f"failpoint {name}")
    elif kind == "crash" and _first_time(rest):
        os._exit(137)  # as SIGKILL leaves it: no handler, no flush


def _first_time(rest: str) -> bool:
    """Whether a crash is due: always, or for `once:FILE` while FILE is not there."""
    if not rest.startswith("once:"):
        return True
    try:
        os.close(os.open(rest.removeprefix("once:"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


arm(os.environ.get("NOVA_LITE_FAILPOINTS", ""))
