# SPDX-License-Identifier: Apache-2.0
"""Volume types: extra specs, access, encryption, QoS specs and defaults."""

from nova_lite.api.volume.types import access, default_types, encryption, extra_specs, qos_specs, types

RESOURCES = (
    access,
    default_types,
    encryption,
    extra_specs,
    qos_specs,
    types,
)
EXTRA_RULES = (
    types.QOS_SPECS_ID,
    types.SENSITIVE,
    types.SPECS,
)
