# SPDX-License-Identifier: Apache-2.0
"""Flavors and their extra specs."""

from nova_lite.api.compute.flavors import (
    extra_specs,
    flavors,
)

RESOURCES = (
    extra_specs,
    flavors,
)
