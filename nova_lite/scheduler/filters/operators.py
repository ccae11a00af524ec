# SPDX-License-Identifier: Apache-2.0
"""The operators of extra specs: `>= 4`, `s== fast`, `<in> ssd`, `<or> a <or> b`, `<all-in> a b`; none: equal."""

from __future__ import annotations

import operator
from collections.abc import Callable

# Numbers; `=` means at least, for a reason lost in Nova's past:
# https://docs.openstack.org/nova/latest/admin/scheduling.html#computecapabilitiesfilter
_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "s==": operator.eq, "s!=": operator.ne, "s<": operator.lt, "s<=": operator.le, "s>": operator.gt, "s>=": operator.ge}


def matches(value: str, wanted: str) -> bool:
    """Whether the host's `value` is as the extra spec `wanted` says."""
    word, _, rest = wanted.strip().partition(" ")
    rest = rest.strip()
    if word in _TEXTS:
        return _TEXTS[word](value, rest)
    if word in _NUMBERS:
        return _compare(_NUMBERS[word], value, rest)
    if word == "<or>":
        return value in {part.strip() for part in wanted.split("<or>") if part.strip()}
    if word == "<in>":
        return rest in value
    if word == "<all-in>":
        return all(part in value for part in rest.split())
    return value == wanted


def _compare(compare: Callable[[float, float], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False
