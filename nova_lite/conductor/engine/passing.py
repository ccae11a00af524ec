# SPDX-License-Identifier: Apache-2.0
"""Distinguishes errors that pass (of the database, the bus, a daemon that restarts) from what cannot be done."""

from __future__ import annotations

from logging import Logger, LoggerAdapter

import oslo_messaging as messaging
import sqlalchemy as sa
from sqlalchemy import exc
from sqlalchemy.orm import exc as orm_exc

from nova_lite import errors
from nova_lite.conductor.engine.workflow import NotNow

# Seconds between two tries; the last is for all that follow.
BACKOFF_S = (1.0, 2.0, 4.0, 8.0, 10.0)
# A claim that came twice, a lock that was not got, a connection that was cut: the same statement may succeed next time.
_OF_DATABASE = (exc.OperationalError, exc.InterfaceError, exc.IntegrityError, exc.TimeoutError, exc.InternalError,
                exc.ResourceClosedError, exc.InvalidatePoolError, orm_exc.StaleDataError)
_OF_BUS = (messaging.MessagingTimeout, messaging.MessageDeliveryFailure, messaging.UnsupportedVersion, ConnectionError, TimeoutError)
_REMOTE = frozenset(cls.__name__ for cls in (*_OF_DATABASE, *_OF_BUS, exc.DBAPIError, errors.ServiceDown, errors.Unavailable)) | {
    "UnsupportedVersion", "RPCVersionCapError", "NoSuchMethod", "SerializationFailure", "DeadlockDetected"}


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed soon, though nothing is changed."""
    if isinstance(error, NotNow | errors.Unavailable):
        return True
    if isinstance(error, messaging.RemoteError):
        return error.exc_type in _REMOTE
    if isinstance(error, exc.DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, _OF_DATABASE + _OF_BUS)


def text_of(error: BaseException, step: str) -> errors.NovaLiteError:
    """The error for the person who made the request."""
    if isinstance(error, errors.NovaLiteError):
        return error
    if isinstance(error, NotNow):
        return errors.WorkerError(reason=str(error))
    if isinstance(error, sa.exc.SQLAlchemyError):
        return errors.WorkerError(reason=f"{step}: the database could not be used ({type(error).__name__}); the operator's log has the details")
    return errors.WorkerError(reason=f"{step} failed inside the conductor ({type(error).__name__}); the operator's log has the details")


def backoff_s(retries: int) -> float:
    """How long to rest after so many failures that may pass."""
    return BACKOFF_S[min(retries, len(BACKOFF_S) - 1)]


def log(logger: Logger | LoggerAdapter[Logger], step: str, error: Exception) -> None:
    """Log that the step, with its action, has failed; of one that only waits nobody need know."""
    if isinstance(error, NotNow):
        logger.debug("%s waits: %s", step, error)
    elif isinstance(error, errors.NovaLiteError) or is_passing(error):
        logger.warning("%s failed: %s", step, error)
    else:
        logger.error("%s failed", step, exc_info=error)
