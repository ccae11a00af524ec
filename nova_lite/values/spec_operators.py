# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs: `>= 4`, `s== fast`, `<in> ssd`, `<or> a <or> b`, `<all-in> a b`; none: equal."""

from __future__ import annotations

import operator
from collections.abc import Callable

# Numbers; `=` means at least, as in Nova:
# https://docs.openstack.org/nova/latest/admin/scheduling.html#computecapabilitiesfilter
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt, "s>=": operator.ge}


def matches(value: str, required: str) -> bool:
    """Whether the host's `value` is as the extra spec `required` demands."""
    sign, _, rest = required.strip().partition(" ")
    rest = rest.strip()
    if sign in _TEXTS:
        return _TEXTS[sign](value, rest)
    if sign in _NUMBERS:
        return _compare(_NUMBERS[sign], value, rest)
    if sign == "<or>":
        return value in {part.strip() for part in required.split("<or>") if part.strip()}
    if sign == "<in>":
        return rest in value
    if sign == "<all-in>":
        return all(part in value for part in rest.split())
    return value == required


def _compare(compare: Callable[[float, float], bool], value: str, required: str) -> bool:
    try:
        return compare(float(value), float(required))
    except ValueError:
        return False
