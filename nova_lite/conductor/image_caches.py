# SPDX-License-Identifier: Apache-2.0
"""Has hosts fetch images ahead of time, as an operator requested for an aggregate."""

from __future__ import annotations

from oslo_log import log as logging

from nova_lite.conductor.engine.services import Services
from nova_lite.context import Context
from nova_lite.db.hosts import hosts as host_rows
from nova_lite.db.image import images as image_rows
from nova_lite.payloads import guest

LOG = logging.getLogger(__name__)


class ImageCaches:
    """Endpoint: one cast per worker and image; images and hosts that were deleted meanwhile are left out."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def cache_images(self, ctxt: Context, *, image_ids: tuple[str, ...], hosts: tuple[str, ...]) -> None:
        with self._services.database.reader() as session:
            found = image_rows.by_ids(session, image_ids)
            agents = {host.agent for host in host_rows.hosts(session) if host.name in hosts}
        for image in found.values():
            for agent in sorted(agents):
                payload = guest.image_payload(
                    self._services.environment, image, host=agent, project_id=image.owner, properties={})
                self._services.compute(agent).cache_image(ctxt, image=payload)
        LOG.info("images %s: requested of hosts %s", ", ".join(found), ", ".join(hosts))
