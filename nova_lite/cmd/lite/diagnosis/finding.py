# SPDX-License-Identifier: Apache-2.0
"""The finding of a check: a result, its reason, and a remedy."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import StrEnum

from oslo_config import cfg


class Result(StrEnum):
    """`note`: it works, with something to know; `problem`: it does not work."""

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclasses.dataclass(frozen=True)
class Finding:
    """`remedy` is a sentence or a command; empty where nothing needs doing."""

    result: Result
    reason: str
    remedy: str = ""
    name: str = ""

    def named(self, name: str) -> Finding:
        return dataclasses.replace(self, name=name)

    def as_dict(self) -> dict[str, str]:
        return {"check": self.name, "result": self.result.value, "reason": self.reason, "remedy": self.remedy}


@dataclasses.dataclass(frozen=True)
class Check:
    """A name in the table, and the function that makes the finding."""

    name: str
    run: Callable[[cfg.ConfigOpts], Finding]


def ok(reason: str) -> Finding:
    return Finding(Result.OK, reason)


def note(reason: str, remedy: str = "") -> Finding:
    return Finding(Result.NOTE, reason, remedy)


def problem(reason: str, remedy: str) -> Finding:
    return Finding(Result.PROBLEM, reason, remedy)
