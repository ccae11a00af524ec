# SPDX-License-Identifier: Apache-2.0
"""The one thing that ElementTree lacks: an element with text and attributes in one call."""

from __future__ import annotations

import xml.etree.ElementTree as ET


def text(parent: ET.Element, tag: str, content: str, **attributes: str) -> ET.Element:
    """A new child with text."""
    element = ET.SubElement(parent, tag, attributes)
    element.text = content
    return element
