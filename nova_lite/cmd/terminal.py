# SPDX-License-Identifier: Apache-2.0
"""Text for the operator's terminal: names and reasons come from hosts and users, who may write what a terminal carries out."""

from __future__ import annotations


def printable(text: object) -> str:
    """On one line; control and format characters as Python writes them, such as \\x1b."""
    line = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in line)
