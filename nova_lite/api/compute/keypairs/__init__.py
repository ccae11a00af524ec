# SPDX-License-Identifier: Apache-2.0
"""Keypairs and their keys."""

from nova_lite.api.compute.keypairs import (
    keypairs,
)

RESOURCES = (
    keypairs,
)
