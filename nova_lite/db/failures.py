# SPDX-License-Identifier: Apache-2.0
"""Words for what the database could not do just now: one line for the log, one sentence for users."""

from __future__ import annotations

import errno

import sqlalchemy.exc

_BUSY = "The database cannot be reached or is busy; try again shortly."
_FULL = "The database has no space left; the operator has to make room."
_FULL_TEXTS = ("database or disk is full", "No space left on device", "could not extend file", "is full", "Disk full")


def describe(error: sqlalchemy.exc.SQLAlchemyError) -> str:
    """The driver's own first line."""
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]


def reason_of(error: sqlalchemy.exc.SQLAlchemyError) -> str:
    """What a user may know."""
    return _FULL if is_full(error) else _BUSY


def is_full(error: sqlalchemy.exc.SQLAlchemyError) -> bool:
    """Whether the disk below the database has no space left."""
    cause = getattr(error, "orig", None) or error
    return getattr(cause, "errno", None) == errno.ENOSPC or any(text in str(cause) for text in _FULL_TEXTS)
