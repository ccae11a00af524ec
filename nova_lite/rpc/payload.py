# SPDX-License-Identifier: Apache-2.0
"""Frozen dataclasses that cross the message bus: marked once, converted here, fingerprinted by a test."""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import types
import typing
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

_T = TypeVar("_T")
REGISTRY: dict[str, type] = {}


@dataclass_transform(frozen_default=True, kw_only_default=True)
def payload(*, version: int) -> Callable[[type[_T]], type[_T]]:
    """Make the class a frozen, keyword-only dataclass that may be an RPC argument or result.

    A new field needs a default and a higher `version`; the fingerprint test holds you to it.
    """

    def mark(cls: type[_T]) -> type[_T]:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(cls)
        made.payload_version = version  # type: ignore[attr-defined]
        REGISTRY[f"{made.__module__.rsplit('.', 1)[-1]}.{made.__name__}"] = made
        return made

    return mark


def wire(name: str) -> dict[str, str]:
    """Metadata of a field whose name on the wire, as older releases have it, is not its name here."""
    return {"wire": name}


def _wire_name(field: dataclasses.Field[Any]) -> str:
    return str(field.metadata.get("wire", field.name))


def fingerprint(cls: type) -> str:
    """Twelve hex digits that change when a field's name on the wire, type or having a default changes.

    Fields of values in it count as its own: they have no version.
    """
    fields = [
        (_wire_name(f), str(f.type), f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING)
        for f in dataclasses.fields(cls)
    ]
    values = sorted(
        {fingerprint(inner) for declared in typing.get_type_hints(cls).values() for inner in _dataclasses_in(declared)
         if not hasattr(inner, "payload_version")})
    if values:
        fields.append(("values", str(values), False))
    return hashlib.sha256(repr(fields).encode()).hexdigest()[:12]


def _dataclasses_in(annotation: Any) -> list[type]:
    """The dataclasses that a declared type is made of."""
    if dataclasses.is_dataclass(annotation):
        return [typing.cast(type, annotation)]
    return [found for argument in typing.get_args(annotation) for found in _dataclasses_in(argument)]


def to_wire(value: Any) -> Any:
    """Plain JSON types for a payload, or anything made of payloads, lists, tuples and dicts."""
    writer: Callable[[Any], Any] = _writer(typing.cast(typing.Hashable, type(value)))
    return writer(value)


@functools.cache
def _writer(cls: type) -> Callable[[Any], Any]:
    """The function that writes values of a class, made once per class."""
    if dataclasses.is_dataclass(cls):
        names = tuple((_wire_name(field), field.name) for field in dataclasses.fields(cls))
        return lambda value: {name: to_wire(getattr(value, attribute)) for name, attribute in names}
    if issubclass(cls, list | tuple | set | frozenset):
        return lambda value: [to_wire(item) for item in value]
    if issubclass(cls, dict):
        return lambda value: {key: to_wire(item) for key, item in value.items()}
    if issubclass(cls, enum.Enum):
        return lambda value: value.value
    return lambda value: value


def from_wire(annotation: Any, value: Any) -> Any:
    """The value that `to_wire` was given, rebuilt by its declared type; unknown fields are dropped.

    Dropping them lets a newer sender talk to an older receiver during an upgrade. A payload with a static method
    `upgrade(fields)` gets the fields of every version, and returns those of its own.
    """
    return _reader(annotation)(value)


@functools.cache
def _reader(annotation: Any) -> Callable[[Any], Any]:
    """The function that rebuilds one declared type, made once per type."""
    if dataclasses.is_dataclass(annotation):
        return _dataclass_reader(typing.cast(type, annotation))
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        inner = _reader(next(arg for arg in args if arg is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin in (list, tuple, frozenset, set):
        item = _reader(args[0])
        return lambda value: origin(item(entry) for entry in value)
    if origin is dict:
        entry = _reader(args[1])
        return lambda value: {key: entry(item) for key, item in value.items()}
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return annotation
    return lambda value: value


def _dataclass_reader(cls: type) -> Callable[[Any], Any]:
    types_of = typing.get_type_hints(cls)
    readers = {_wire_name(f): (f.name, _reader(types_of[f.name])) for f in dataclasses.fields(cls)}

    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = getattr(cls, "upgrade", lambda fields: fields)

    def read(value: Any) -> Any:
        fields = {}
        for name, item in upgrade(value).items():
            if name in readers:
                attribute, reader = readers[name]
                fields[attribute] = reader(item)
        return cls(**fields)

    return read
