# SPDX-License-Identifier: Apache-2.0
"""Options: each is read somewhere and explained; the shipped files load."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite import conf as options

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = [(section.GROUP, option.dest) for section in options.SECTIONS for option in section.OPTIONS]
SOURCES = "\n".join(path.read_text() for path in (ROOT / "nova_lite").rglob("*.py") if "conf" not in path.parts)


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=[f"{group}.{name}" for group, name in OPTIONS])
def test_an_option_is_read_somewhere(group: str, name: str) -> None:
    # All of [quota] is read at once, by db/quotas/quotas.py; concurrency before oslo.config is imported.
    assert group == "quota" or f".{name}" in SOURCES or f'"{name}"' in SOURCES, f"[{group}] {name} is read nowhere: delete it"


def test_every_option_is_explained() -> None:
    for section in options.SECTIONS:
        assert section.__doc__
        assert section.__doc__.startswith(f"[{section.GROUP}]")
        assert all(option.help for option in section.OPTIONS)


def test_the_shipped_nova_conf_loads() -> None:
    path = ROOT / "etc" / "nova.conf"
    conf = options.load(["--config-file", str(path)])
    assert conf.find_file("nova.conf") or path.exists()
