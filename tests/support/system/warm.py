# SPDX-License-Identifier: Apache-2.0
"""Runs stock clients as processes of their own without their second of imports: each is a fork of this one.

One JSON request a line on standard input, {"client", "words", "environment"}; one JSON answer a line, {"code", "out", "err"}.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import sys
import tempfile
from typing import Any

import cliff.command
import novaclient.v2.client  # noqa: F401 - what nova imports once it knows the cloud's version
from novaclient import shell as nova_shell
from openstackclient import shell as openstack_shell

MAINS = {"openstack": openstack_shell.main, "nova": nova_shell.main}
LIMIT_S = 180


def import_all() -> None:
    """What openstack looks for at each start: the modules of all commands, and which package each is of."""
    known = importlib.metadata.entry_points()
    for group in known.groups:
        if group.startswith("openstack."):
            for entry in known.select(group=group):
                entry.load()
    cliff.command._get_distributions_by_modules()


def serve() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            child = os.fork()
            if not child:
                _become(request, out.fileno(), err.fileno())
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            out.seek(0)
            err.seek(0)
            print(json.dumps({"code": code, "out": out.read(), "err": err.read()}), flush=True)


def _become(request: dict[str, Any], out: int, err: int) -> None:
    """The client: its environment, its output, its exit code. Does not return."""
    signal.alarm(LIMIT_S)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.environ.clear()
    os.environ.update(request["environment"])
    code = 1
    try:
        code = MAINS[request["client"]](request["words"]) or 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    import_all()
    serve()
