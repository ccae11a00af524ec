# SPDX-License-Identifier: Apache-2.0
"""What the server has to know about each request before a thread takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from nova_lite.runtime.http.admission import Refusal
from nova_lite.runtime.http.head import Head

READS: Final = "reads"
WRITES: Final = "writes"
# Requests whose thread waits for the client: image data in both directions, and bodies of unknown size.
TRANSFERS: Final = "transfers"
# Requests for tokens: passwords cost CPU, and strangers may send them.
LOGINS: Final = "logins"
SHARES: Final = (READS, WRITES, TRANSFERS, LOGINS)


class Policy(Protocol):
    """How requests differ, by their heads."""

    def share(self, head: Head) -> str:
        """One of SHARES."""

    def tenant(self, head: Head, address: str) -> str:
        """Whose turn it takes."""

    def refusal(self, head: Head) -> Refusal | None:
        """Why it cannot be taken now, whatever threads are free."""

    def admitted(self, head: Head) -> Callable[[bool], None]:
        """It has come. What is returned is called once, with whether it succeeded, when it is over: answered, refused or given up."""

    def learn(self, head: Head, environ: dict[str, Any]) -> None:
        """Look at what the application left in the environment of an answered request."""


def uncounted(_has_succeeded: bool) -> None:  # noqa: FBT001 - the protocol's shape
    """For requests that nobody counts."""


class ByMethod:
    """GET and HEAD read, everything else writes; tenants are addresses."""

    def share(self, head: Head) -> str:
        return READS if head.method in ("GET", "HEAD") else WRITES

    def tenant(self, head: Head, address: str) -> str:  # noqa: ARG002 - the protocol's shape
        return address

    def refusal(self, head: Head) -> Refusal | None:  # noqa: ARG002 - the protocol's shape
        return None

    def admitted(self, head: Head) -> Callable[[bool], None]:  # noqa: ARG002 - the protocol's shape
        return uncounted

    def learn(self, head: Head, environ: dict[str, Any]) -> None:
        """Nothing that the application says counts."""
