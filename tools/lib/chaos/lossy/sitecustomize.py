# SPDX-License-Identifier: Apache-2.0
"""Loaded by Python in the daemons that tools/chaos starts: messages are lost, doubled or late, as a file says.

The file that CHAOS_MESSAGE_RATES names has `{"drop": 0.1, "double": 0.3, "late_rate": 0.2, "late_s": 2.0, "seed": 1}` while that is to happen.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import sys
import time
import types
import uuid
from collections.abc import Callable
from typing import Any

_MODULE = "oslo_messaging._drivers.impl_rabbit"
_SENDS = ("direct_send", "topic_send", "fanout_send")
_PATH = os.environ.get("CHAOS_MESSAGE_RATES", "")
_rng = random.Random()
_seeded: list[int] = []


def _rates() -> dict[str, float]:
    try:
        with open(_PATH) as file:
            rates: dict[str, float] = json.load(file)
    except (OSError, ValueError):
        return {}
    seed = int(rates.get("seed", 0))
    if _seeded != [seed]:
        _seeded[:] = [seed]
        _rng.seed(f"{seed}-{os.path.basename(sys.argv[0])}")
    return rates


def _unreliable(send: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(send)
    def wrapped(self: Any, *args: Any, **kwargs: Any) -> Any:
        rates = _rates()
        if _rng.random() < rates.get("late_rate", 0.0):
            time.sleep(_rng.random() * rates.get("late_s", 0.0))
        if _rng.random() < rates.get("drop", 0.0):
            return None
        result = send(self, *args, **kwargs)
        if _rng.random() < rates.get("double", 0.0):
            send(self, *[_renamed(one) for one in args], **{name: _renamed(value) for name, value in kwargs.items()})
        return result

    return wrapped


def _renamed(value: Any) -> Any:
    """The message with a new id: the receiver drops what it has seen by its id."""
    if not isinstance(value, dict) or "oslo.message" not in value:
        return value
    return {**value, "oslo.message": json.dumps({**json.loads(value["oslo.message"]), "_unique_id": uuid.uuid4().hex})}


class _Patch(importlib.abc.MetaPathFinder):
    """Changes oslo.messaging's connection when it is imported."""

    def find_spec(  # importlib's signature
        self, name: str, path: Any, target: types.ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if name != _MODULE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: types.ModuleType) -> None:
            execute(module)
            for send in _SENDS:
                setattr(module.Connection, send, _unreliable(getattr(module.Connection, send)))

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if _PATH:
    sys.meta_path.insert(0, _Patch())
