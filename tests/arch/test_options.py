# SPDX-License-Identifier: Apache-2.0
"""Options: each is read somewhere, its help has meaning, unit and advice; the shipped files load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import conf as options

ROOT = Path(__file__).resolve().parents[2]
NOVA_CONF = ROOT / "etc" / "nova.conf"
OPTIONS = [(section.GROUP, option.dest) for section in options.SECTIONS for option in section.OPTIONS]
DEFINITIONS = [option for section in options.SECTIONS for option in section.OPTIONS]
NAMES = [f"{group}.{name}" for group, name in OPTIONS]
SENTENCE = re.compile(r"[^.!?]{8,}[.!?](?= |$)")
UNIT = re.compile(r"\b(in (seconds|days|bytes|MiB|GiB)|number of|ratio of|TCP port|UDP port)\b", re.IGNORECASE)
SOURCES = "\n".join(path.read_text() for path in (ROOT / "nova_lite").rglob("*.py") if "conf" not in path.parts)


@pytest.mark.parametrize(("group", "name"), OPTIONS, ids=NAMES)
def test_an_option_is_read_somewhere(group: str, name: str) -> None:
    # All of [quota] is read at once, by db/quotas/quotas.py; concurrency before oslo.config is imported.
    assert group == "quota" or f".{name}" in SOURCES or f'"{name}"' in SOURCES, f"[{group}] {name} is read nowhere: delete it"


@pytest.mark.parametrize("section", options.SECTIONS, ids=[section.GROUP for section in options.SECTIONS])
def test_a_section_is_described_by_its_module(section: Any) -> None:
    assert str(section.__doc__).startswith(f"[{section.GROUP}]: ")


@pytest.mark.parametrize("option", DEFINITIONS, ids=NAMES)
def test_help_says_more_than_what_the_option_means(option: cfg.Opt) -> None:
    """At least two sentences: the meaning; then the reason of the default, when to change it and what that costs."""
    text = " ".join((option.help or "").split())
    assert len(SENTENCE.findall(text)) >= 2, f"help of {option.dest} is too short: {text!r}"


@pytest.mark.parametrize("option", [option for option in DEFINITIONS if isinstance(option, (cfg.IntOpt, cfg.FloatOpt))])
def test_help_of_a_number_has_its_unit(option: cfg.Opt) -> None:
    """In the first paragraph; a count says "number of"."""
    first = option.help.strip().partition("\n\n")[0]
    assert UNIT.search(" ".join(first.split())), f"help of {option.dest} has no unit: {first!r}"


def test_the_shipped_nova_conf_loads() -> None:
    conf = options.load(["--config-file", str(NOVA_CONF)])
    assert conf.database.connection.startswith("postgresql")


def test_the_shipped_nova_conf_names_options_that_exist() -> None:
    """Those in comments too; `transport_url` and sections of other names are libraries'."""
    section, unknown = "", []
    for line in NOVA_CONF.read_text().splitlines():
        if header := re.fullmatch(r"(?:# )?\[(\w+)\]", line):
            section = header[1]
        elif (entry := re.match(r"(?:# )?(\w+) = ", line)) and not section.startswith("oslo_"):
            unknown += [entry[1]] if (section, entry[1]) not in {*OPTIONS, ("DEFAULT", "transport_url")} else []
    assert unknown == []
