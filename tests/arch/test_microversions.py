# SPDX-License-Identifier: Apache-2.0
"""Every microversion of the history does something: a route, schema, query or field names it, or a reason stands here."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from nova_lite.api import compute, volume
from nova_lite.api.compute import microversions as compute_versions
from nova_lite.api.volume import microversions as volume_versions
from nova_lite.api.wsgi.responses import Field, Property
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.api.wsgi.versions import Range, Version, parse

# What changed nothing that a route could name, or only what is for a later issue.
_MOVES = "decision 10: of live migrations and evacuations that succeed; refused here, at every version, as where there is one host"
_VERSION = re.compile(r"[23]\.\d+")
ELSEWHERE = {
    "2.1": "the first",
    "2.4": "its routes are 410 at every version, in Nova too",
    "2.12": "its routes are 410 at every version, in Nova too",
    "2.18": "the service accepts paths with and without a project id at every version, as Nova does",
    "2.27": "both headers are read and written at every version, as Nova does: api/wsgi/versions.py",
    "2.34": _MOVES,
    "2.38": "server_lists reads it where a status is unknown",
    "2.46": "the header is there at every version, as in Nova",
    "2.65": _MOVES,
    "2.69": "a cloud has one database here: there is no part of it that could be down",
    "2.72": "no port can request bandwidth: the network service has no QoS policies",
    "2.95": _MOVES,
    "2.103": "os-volumes_boot, an undocumented twin of servers, was never here",
    "3.6": "of consistency groups, which 3.13 superseded: their routes are 404 at every version",
    "3.15": "ETag and If-Match are honoured at every version",
    "3.17": "there are no clusters whose resources could be managed",
    "3.46": "a volume is made from an image without data at every version: where that was refused before, no client depends on it",
    "3.50": "the type decides at every version: the parameter multiattach is refused, as in Cinder",
    "3.67": "the service accepts paths with and without a project id at every version, as Cinder does",
    "3.70": "there are no encrypted volumes yet that could be transferred",
}


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        yield importlib.import_module(found.name)


def _ends(versions: Range) -> set[Version]:
    """Where something begins, and the first version that lacks it."""
    after = {Version(versions.until.major, versions.until.minor + 1)} if versions.until else set()
    return {versions.since} | after


def _fields(value: Any) -> Iterator[Field | Property]:
    """The fields in tables of them and in schemas that have such tables inside."""
    if isinstance(value, Field | Property):
        yield value
        yield from _fields(value.schema)
    elif isinstance(value, tuple | list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _fields(item)


def _named(package: ModuleType) -> set[str]:
    found: set[Version] = set()
    for made in routes_of(package.RESOURCES):
        found |= _ends(made.versions) | {first for first, _ in (*made.schemas, *made.queries, *made.responses)}
        found |= {end for field in _fields([shape for _, shape in made.responses]) for end in _ends(field.versions)}
    for module in _modules(package):
        for name, value in vars(module).items():
            if not name.startswith("__"):
                found |= {end for field in _fields(value) for end in _ends(field.versions)}
                # Tables of versions that handlers read: filters that came later, for example.
                found |= {value} if isinstance(value, Version) else set()
                if isinstance(value, dict):
                    found |= {parse(text) for text in value.values() if isinstance(text, str) and _VERSION.fullmatch(text)}
    return {str(version) for version in found}


NAMED = _named(compute) | _named(volume)
VERSIONS = [version for service in (compute_versions, volume_versions) for version, _ in service.HISTORY
            if parse(version) <= parse(service.MAXIMUM)]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_microversion_is_named_by_what_it_changes(version: str) -> None:
    assert (version in NAMED) != (version in ELSEWHERE), "name it where it matters, or say in ELSEWHERE why it does not"


def test_the_history_of_block_storage_has_every_version_once_in_order() -> None:
    assert [parse(version) for version, _ in volume_versions.HISTORY] == [(3, minor) for minor in range(len(volume_versions.HISTORY))]
    assert all(line for _, line in volume_versions.HISTORY)
