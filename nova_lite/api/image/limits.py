# SPDX-License-Identifier: Apache-2.0
"""Limits of one image's attributes, checked where users set them: each is copied into servers, messages and lists."""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite import errors
from nova_lite.api.image.schemas import TAG_LENGTH
from nova_lite.db.image.images import Image
from nova_lite.hardware import extra_specs

MAX_PROPERTIES = 128  # as Glance's image_property_quota and image_tag_quota
MAX_BYTES = 64 * 1024  # of all names and values of an image's properties, and of its tags, in UTF-8


def check_properties(properties: Mapping[str, str]) -> None:
    """Refuse values that no guest could have, and more than one image may hold; needs no database.

    :raises errors.BadRequest: a number is out of its bounds. :raises errors.TooLarge: too many properties or bytes.
    """
    if len(properties) > MAX_PROPERTIES:
        raise errors.TooLarge(f"An image has at most {MAX_PROPERTIES} properties")
    check_bytes(properties)
    for name, value in properties.items():
        extra_specs.check_bounds(name, value)


def check_bytes(properties: Mapping[str, str]) -> None:
    """:raises errors.TooLarge: names and values have more than MAX_BYTES together."""
    if sum(len(name.encode()) + len(value.encode()) for name, value in properties.items()) > MAX_BYTES:
        raise errors.TooLarge(f"The properties of an image have at most {MAX_BYTES} bytes together")


def check_tags(image: Image) -> None:
    """:raises errors.TooLarge: too many tags or bytes of tags. :raises errors.InvalidField: a tag is too long."""
    if len(image.tags) > MAX_PROPERTIES:
        raise errors.TooLarge(f"An image has at most {MAX_PROPERTIES} tags")
    if any(len(tag) > TAG_LENGTH for tag in image.tags):
        raise errors.InvalidField(field="tags", reason=f"a tag has at most {TAG_LENGTH} characters")
