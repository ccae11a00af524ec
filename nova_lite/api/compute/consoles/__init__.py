# SPDX-License-Identifier: Apache-2.0
"""Remote consoles and their tokens."""

from nova_lite.api.compute.consoles import (
    console_auth_tokens,
    remote_consoles,
)

RESOURCES = (
    console_auth_tokens,
    remote_consoles,
)
