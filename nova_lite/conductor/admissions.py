# SPDX-License-Identifier: Apache-2.0
"""Workers that are about to serve a host's name are admitted, one at a time."""

from __future__ import annotations

import sqlalchemy as sa
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.db import failures
from nova_lite.db.hosts import workers

LOG = logging.getLogger(__name__)


class Admissions:
    """Endpoint: a worker gets its name, or hears that another has it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        try:
            with self._services.database.writer() as session:
                workers.admit(session, binary=binary, agent=agent, worker_id=worker_id, down_time_s=self._services.conf.service_down_time)
        except errors.NameInUse as error:
            LOG.warning("refused: %s", error.text)
            raise
        except sa.exc.SQLAlchemyError as error:  # the worker requests it again
            LOG.warning("%s on %s waits to be admitted: %s", binary, agent, failures.describe(error))
            raise errors.Unavailable(reason=failures.reason_of(error)) from error
