# SPDX-License-Identifier: Apache-2.0
"""Names of a guest's disks, as Nova picks them: the next free letter after those that are taken."""

from __future__ import annotations

import string
from collections.abc import Collection


def prefix(root_device: str | None) -> str:
    """What the names of the guest's disks begin with, by its root disk's: `/dev/vd` of `/dev/vda`."""
    return (root_device or "/dev/vda").rstrip(string.digits)[:-1]


def next_free(prefix: str, taken: Collection[str], *, after: int) -> str | None:
    """The next name that is not taken, the first `after` letters left out; None: there is none up to z."""
    return next((name for letter in string.ascii_lowercase[after:] if (name := prefix + letter) not in taken), None)
