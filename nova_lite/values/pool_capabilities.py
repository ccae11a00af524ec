# SPDX-License-Identifier: Apache-2.0
"""Whether what a pool reports is what the extra specs of a volume type require."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.values.spec_operators import matches

_SCOPE = "capabilities:"
_IS = "<is>"
_TRUE = {"true", "1", "yes", "t", "y"}


def unmet(capabilities: Mapping[str, Any], extra_specs: Mapping[str, str]) -> str | None:
    """The first spec that the pool does not meet, as `key value`; None: it meets all. Only specs without scope, or of `capabilities`, count."""
    for name, required in extra_specs.items():
        key = name.removeprefix(_SCOPE)
        if ":" in key:
            continue
        value = capabilities.get(key)
        if value is None or not _has(value, required):
            return f"{key} {required}"
    return None


def _has(value: object, required: str) -> bool:
    if required.startswith(_IS):
        return (str(value).lower() in _TRUE) == (required.removeprefix(_IS).strip().lower() in _TRUE)
    values = value if isinstance(value, list) else [value]
    return any(matches(str(one), required) for one in values)
