# SPDX-License-Identifier: Apache-2.0
"""The user without rights as which a root worker runs what reads data of users and guests."""

from __future__ import annotations

import contextlib
import os
import pwd
from collections.abc import Iterator, Sequence
from typing import Final

USER: Final = "nobody"


@contextlib.contextmanager
def owning(descriptors: Sequence[int]) -> Iterator[list[str]]:
    """Let the files belong to the user for the while; the command that makes a program that user's, and none for who is not root.

    The caller has the files alone, by the lock of their server or as it has just made them: of two at once on one file the first to
    end would take it from the other, and who opens it by name meanwhile may be refused. A file that is open already, as of a
    guest that runs, stays so.
    """
    if not descriptors or os.geteuid() != 0:
        yield []
        return
    user = pwd.getpwnam(USER)
    owners = [os.fstat(descriptor).st_uid for descriptor in descriptors]
    try:
        for descriptor in descriptors:
            os.fchown(descriptor, user.pw_uid, -1)
        yield ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--no-new-privs", "--"]
    finally:
        for descriptor, owner in zip(descriptors, owners, strict=True):
            # A worker that was killed meanwhile has left the file to that user.
            os.fchown(descriptor, 0 if owner == user.pw_uid else owner, -1)
