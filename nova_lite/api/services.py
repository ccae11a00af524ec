# SPDX-License-Identifier: Apache-2.0
"""The table of contents of the API: each service, its resources, and how it words its faults."""

from nova_lite.api import compute, identity, image, network, volume
from nova_lite.api.compute.common import policy_target, version_documents
from nova_lite.api.identity import catalog
from nova_lite.api.volume.common import policy_target as volume_target
from nova_lite.api.volume.common import version_documents as volume_versions
from nova_lite.api.wsgi.service import ApiService

SERVICES: dict[str, ApiService] = {
    "compute": ApiService("compute", compute.RESOURCES, compute.fault_body, negotiation=compute.NEGOTIATION,
                        has_project_path=True, version_document=version_documents.version, owner=policy_target.owner,
                        extra_rules=compute.EXTRA_RULES, takes_trailing_slash=False),
    "identity": ApiService("identity", identity.RESOURCES, identity.fault_body, version_document=catalog.version),
    "image": ApiService("image", image.RESOURCES, image.fault_body, takes_trailing_slash=False),
    "network": ApiService("network", network.RESOURCES, network.fault_body, version_document=network.resources),
    "volume": ApiService("volume", volume.RESOURCES, volume.fault_body, negotiation=volume.NEGOTIATION,
                       has_project_path=True, version_document=volume_versions.version, owner=volume_target.owner,
                       extra_rules=volume.EXTRA_RULES, takes_trailing_slash=False),
}
