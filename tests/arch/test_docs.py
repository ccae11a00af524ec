# SPDX-License-Identifier: Apache-2.0
"""The documentation is true where a program can check it: generated pages are fresh, links have targets."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")


@pytest.mark.parametrize("tool", ["api-reach", "configuration", "draw-states"])
def test_a_generated_page_is_fresh(tool: str) -> None:
    run = subprocess.run([sys.executable, "-W", "ignore", ROOT / "tools" / tool, "--check"], capture_output=True,
                         text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    dead = [target for target in LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert dead == []


@pytest.mark.parametrize("decision", DECISIONS, ids=[path.stem for path in DECISIONS])
def test_a_decision_has_the_title_that_its_file_is_named_by(decision: Path) -> None:
    """A number and a sentence; the name may end before the sentence does."""
    title = decision.read_text().partition("\n")[0]
    assert re.fullmatch(r"# \d{4} [A-Z].*[^.]", title)
    words = re.sub(r"[^a-z0-9]+", "-", title.lower().replace("'", "")).strip("-")
    assert f"{words}-".startswith(f"{decision.stem}-")


def test_no_two_decisions_have_one_number() -> None:
    numbers = [path.stem[:4] for path in DECISIONS]
    assert len(set(numbers)) == len(numbers)


def test_the_readme_names_commands_that_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for tool in set(re.findall(r"\btools/([a-z-]+)", text)):
        assert (ROOT / "tools" / tool).exists(), tool
