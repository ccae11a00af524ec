# SPDX-License-Identifier: Apache-2.0
"""Names and texts use the OpenStack field's terms: words of a dialect that readers would have to learn are refused."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.paths import ROOT

# Word → what to write instead. Names are read word by word: `tell_user` and `ask_host` count.
BANNED = {
    r"ask(s|ed|ing)?": "request, call, query, check; params or body for what came in",
    r"tell(s|ing)?|told": "notify, push, report, write",
    r"faces?": "API service, application",
    r"brains|(the|our) hands": "control plane, workers",
    r"hint(s|ed|ing)?": "cast; scheduler hints keep their name",
    r"wish(es)?": "requirements",
    r"whereabouts|patience|caretaker|softly|whoever": "a plain name of the thing",
    r"mint(s|ed|ing)?": "issue",
    r"judge[sd]?|judging": "check, evaluate",
    r"bury|buried|graves?": "tombstone",
    r"oversold": "overcommitted",
    r"neighbours?": "affinity",
    r"plugs": "ports",
    r"mend(s|ed|ing)?": "fix, repair",
}
_BANNED = re.compile(rf"(?<![A-Za-z])({'|'.join(BANNED)})(?![A-Za-z])", re.IGNORECASE)
# What the same letters mean elsewhere: Nova's scheduler hints, Python's type hints, a field of release 0.1's messages.
_ALLOWED = re.compile(r"scheduler[_ :]hints?|type[_ ]hints|os:scheduler_hints|get_type_hints|judged_admin|hints\b(?=\")|OS-SCH-HNT", re.IGNORECASE)
_SELF = "tests/arch/test_words.py"


def _files() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines()
            if name.endswith((".py", ".md", ".ini", ".conf", ".cfg", ".toml")) or name.startswith("tools/")
            if (ROOT / name).is_file() and name != _SELF]


def offences(text: str) -> list[tuple[int, str]]:
    """(line, word) of each banned word."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        spoken = _ALLOWED.sub("", line).replace("_", " ")
        found += [(number, match.group(0)) for match in _BANNED.finditer(spoken)]
    return found


@pytest.mark.parametrize("line", ["def ask_host(", "# nobody was told", "class Wish:", "its hint was lost", "Faces write rows"])
def test_a_word_of_the_dialect_is_noticed(line: str) -> None:
    assert offences(line)


@pytest.mark.parametrize("line", ["scheduler_hints = {}", "typing.get_type_hints(f)", "task, interface, surface", "recommended"])
def test_words_of_the_field_pass(line: str) -> None:
    assert not offences(line)


def test_no_file_uses_a_word_of_the_dialect() -> None:
    found = {name: bad for name in _files() if (bad := offences((ROOT / name).read_text(errors="ignore")))}
    assert not found, "\n".join(f"{name}:{line}: {word}" for name, bad in found.items() for line, word in bad)
