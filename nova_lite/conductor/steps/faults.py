# SPDX-License-Identifier: Apache-2.0
"""The fault that a server in ERROR shows, as the Compute API has it."""

from __future__ import annotations

from typing import Any

from nova_lite.db.base import utcnow


def fault(text: str, *, details: str, code: int = 500) -> dict[str, Any]:
    """`text` is for the owner of the server, `details` for an admin."""
    return {"code": code, "message": text, "details": details, "created": utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")}
