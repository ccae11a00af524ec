# SPDX-License-Identifier: Apache-2.0
"""Options of tests at their defaults, loaded once: to register, parse and check them takes longer than many a test."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg

from nova_lite import conf as options


def defaults() -> cfg.ConfigOpts:
    """As `conf.load([], files=[])`; what a test sets on it is that test's."""
    state = _loaded()
    groups = {name: {**group, "opts": _apart(group["opts"])} for name, group in state["groups"].items()}
    return cfg.ConfigOpts.import_state({
        **state, "opts": _apart(state["opts"]), "groups": groups, "config_opts": list(state["config_opts"])})


def _apart(known: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """oslo.config keeps beside each option what has been set."""
    return {name: dict(option) for name, option in known.items()}


@functools.cache
def _loaded() -> dict[str, Any]:
    state: dict[str, Any] = options.load([], conf=cfg.ConfigOpts(), files=[]).export_state()
    return state
