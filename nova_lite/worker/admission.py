# SPDX-License-Identifier: Apache-2.0
"""A worker serves its host's name only when a conductor says that no other worker does: two would have half of the requests each."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import oslo_messaging as messaging
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import system_context
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.worker import files

LOG = logging.getLogger(__name__)
_FILE = "worker"
_RETRY_S = 2.0
# Of sending: while the broker is away guests are recovered all the same.
_RETRIES = 1


class Admission:
    """Requests the name `host` for the worker whose state is in `directory`; its id is kept there."""

    def __init__(
        self, transport: messaging.transport.RPCTransport, *, binary: str, host: str, directory: Path,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._conductor = ConductorRpc.client(transport, retries=_RETRIES)
        self._binary, self._host, self._directory, self._wait = binary, host, directory, wait
        self._is_admitted = False

    def request(self) -> bool:
        """Whether the worker is admitted; False: nobody can say now.

        :raises errors.NameInUse: another worker serves the name.
        """
        if self._is_admitted:
            return True
        try:
            self._conductor.admit_worker(
                system_context(), binary=self._binary, agent=self._host, worker_id=_id_of(self._directory))
        except errors.TooOld:
            LOG.info("the conductors are of an earlier release: none can say whether another %s is called %s", self._binary, self._host)
        except errors.NameInUse as error:
            LOG.error("%s", error.text)
            raise
        except (errors.Unavailable, messaging.MessagingException) as error:
            LOG.warning("%s on %s serves nothing before a conductor has admitted it, and none has: %s", self._binary, self._host,
                        error.text if isinstance(error, errors.NovaLiteError) else error)
            return False
        self._is_admitted = True
        return True

    def obtain(self) -> None:
        """Return when the worker is admitted, however long no conductor answers.

        :raises errors.NameInUse: another worker serves the name.
        """
        while not self.request():
            self._wait(_RETRY_S)


def forget(directory: Path) -> None:
    """Leave nothing."""
    (directory / _FILE).unlink(missing_ok=True)


def _id_of(directory: Path) -> str:
    """Made once, and then as long as the state that it is kept with."""
    path = directory / _FILE
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.replace(path, f"{uuid.uuid4()}\n")
    return path.read_text().strip()
