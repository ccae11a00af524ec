# SPDX-License-Identifier: Apache-2.0
"""What servers with a TPM of their own cannot do, since its state would be lost or locked: Nova refuses the same."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.db.compute.servers import Server


def refuse(server: Server, operation: str) -> None:
    """:raises errors.Conflict: the server has a TPM, so there is no such operation on it."""
    named = (server.flavor.get("extra_specs", {}).get("hw:tpm_version"), server.image_properties.get("hw_tpm_version"))
    if any(named):
        raise errors.Conflict(reason=f"Operation '{operation}' not supported for vTPM-enabled instance ({server.id}).")
