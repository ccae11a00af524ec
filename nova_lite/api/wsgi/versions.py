# SPDX-License-Identifier: Apache-2.0
"""Microversions: parsing, ranges and negotiation as Nova does them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from nova_lite import errors


class Version(NamedTuple):
    """A microversion; ordered."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    """`2.37` → Version(2, 37).

    :raises errors.BadRequest: not a version string.
    """
    if not re.fullmatch(r"[1-9][0-9]{0,5}\.(0|[1-9][0-9]{0,5})", text):
        raise errors.BadRequest(reason=f"API Version String {text[:40]} is of invalid format. Must be of format MajorNum.MinorNum.")
    major, minor = text.split(".")
    return Version(int(major), int(minor))


class Range(NamedTuple):
    """Versions from `since` to `until`, both included; `until` None: no end."""

    since: Version
    until: Version | None

    def holds(self, version: Version) -> bool:
        return self.since <= version and (self.until is None or version <= self.until)


class Negotiation:
    """A service's microversions: `service` is its name in `OpenStack-API-Version: <service> X.Y`."""

    def __init__(self, service: str, *, minimum: str, maximum: str, legacy_header: str | None = None) -> None:
        self.service = service
        self.minimum, self.maximum = parse(minimum), parse(maximum)
        self.legacy_header = legacy_header

    def choose(self, headers: Mapping[str, str]) -> Version:
        """The version that the headers request; without one: the minimum.

        :raises errors.BadRequest: malformed. :raises errors.BadVersion: outside of the range.
        """
        requested = self._requested(headers)
        if requested is None:
            return self.minimum
        if requested == "latest":
            return self.maximum
        version = parse(requested)
        if not self.minimum <= version <= self.maximum:
            raise errors.BadVersion(version=version, minimum=self.minimum, maximum=self.maximum)
        return version

    def is_requested(self, headers: Mapping[str, str]) -> bool:
        """Whether the headers request any version."""
        return self._requested(headers) is not None

    def _requested(self, headers: Mapping[str, str]) -> str | None:
        for entry in headers.get("OpenStack-API-Version", "").split(","):
            service, _, version = entry.strip().partition(" ")
            if service.lower() == self.service and version:
                return version.strip()
        return headers.get(self.legacy_header) if self.legacy_header else None

    def headers(self, version: Version) -> dict[str, str]:
        """The response headers that name the version used."""
        headers = {"OpenStack-API-Version": f"{self.service} {version}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header:
            headers[self.legacy_header] = str(version)
            headers["Vary"] += f", {self.legacy_header}"
        return headers
