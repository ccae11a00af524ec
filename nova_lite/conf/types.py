# SPDX-License-Identifier: Apache-2.0
"""Types of options beyond oslo.config's: texts that are validated when a file is read, and may be empty where that has a meaning."""

from __future__ import annotations

import ipaddress
import urllib.parse

from oslo_config import types


class IPv4Address(types.String):
    """An IPv4 address, or an empty text."""

    def __init__(self) -> None:
        super().__init__(type_name="IPv4 address value")

    def __call__(self, value: object) -> str:
        """:raises ValueError: it is neither."""
        text = str(super().__call__(value))
        if text:
            ipaddress.IPv4Address(text)
        return text


class IPv4Network(types.String):
    """An IPv4 range in CIDR notation, without host bits."""

    def __init__(self) -> None:
        super().__init__(type_name="IPv4 range value")

    def __call__(self, value: object) -> str:
        """:raises ValueError: it is not."""
        text = str(super().__call__(value))
        ipaddress.IPv4Network(text)
        return text


class URL(types.String):
    """A URL with one of these schemes and a host, or an empty text."""

    def __init__(self, *schemes: str) -> None:
        super().__init__(type_name="URL value")
        self.schemes = schemes

    def __call__(self, value: object) -> str:
        """:raises ValueError: it is neither."""
        text = str(super().__call__(value))
        parts = urllib.parse.urlsplit(text)
        if text and (parts.scheme not in self.schemes or not parts.hostname):
            raise ValueError(f"{text!r} is not a URL with {' or '.join(f'{scheme}://' for scheme in self.schemes)} and a host")
        return text
