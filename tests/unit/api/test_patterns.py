# SPDX-License-Identifier: Apache-2.0
"""Patterns of users: what they select, what is refused, and that none takes more than a bounded time."""

from __future__ import annotations

import random
import re
import time

import pytest

from nova_lite.db import patterns
from nova_lite.db.patterns import PatternError

USUAL = (
    "web", "^web", "web$", "^web$", "", "^$", "$", "^", "a|b", "(a|b)c", "a||b", "(|a)b", "^(a|b)*$", "a*", "^a+$", "^a?b$", "w.b",
    "^.b.$", "[abc]", "^[^a-c]+$", "[]x]", "[x-]", r"\d+", r"^\w+$", r"\s", r"\D", r"\.", r"a\+b", r"[\d.]+$", r"[\]x]", "x{2}",
    "^x{2,}$", "^x{2,3}$", "^(ab){1,2}$", "^x{0,2}y$", "(?:ab)+c", "a*?b", "a+?", "^(a*)*$", "(a*)+b", "(^a|b$)", "a$|^b",
    "(?i)WEB", "(?i)[A-C]1", "é", "^(?:10[.]0[.]){1,2}", "x(^y)", "(y$)z", "x{0}y",
)
TEXTS = (
    "", "a", "b", "web", "web-1", "myweb", "aaa", "ab", "abab", "ababc", "ac", "bc", "xx", "xxx", "xxxx", "y", "xy", "xxy", "a+b",
    "10.0.0.1", "10.0.10.0.", "a b", "A1", "É", "é", "]", "-", "wéb", "aaaab", "c1", "xyz", "Web",
)


@pytest.mark.parametrize("pattern", USUAL)
def test_a_usual_pattern_selects_what_python_selects(pattern: str) -> None:
    found = [text for text in TEXTS if patterns.compiled(pattern).matches(text)]
    assert found == [text for text in TEXTS if re.search(pattern, text)]


def test_posix_classes_and_negations_in_brackets() -> None:
    assert patterns.compiled("^[[:alpha:]_]+$").matches("ab_c")
    assert not patterns.compiled("^[[:alpha:]]+$").matches("ab1")
    assert patterns.compiled(r"^[^\d]+$").matches("abc")


@pytest.mark.parametrize("pattern", [r"\d", "[[:digit:]]", r"[\d]"])
def test_a_digit_is_one_of_ten(pattern: str) -> None:
    assert [char for char in "09a\u0663\u00b2" if patterns.compiled(pattern).matches(char)] == ["0", "9"]


@pytest.mark.parametrize("pattern", [
    "(", ")", "a)", "*a", "+", "a**", "a*+", "a?+", "[", "[a", "[z-a]", "\\", r"(a)\1", r"\bweb", "(?=a)", "(?!a)", "(?<=a)b",
    "(?P<n>a)", "(?x)a", "a{", "a{2,1}", "a{256}", "a{9999999999}", "{2}", "^*", "a" * 256, "(" * 200, "(" * 51 + "a" + ")" * 51, "(?i:" * 60,
    "a{\u0663}", "((a{255}){255}){255}", "(((){255}){255}){255}", "[[:nothing:]]",
])
def test_a_pattern_that_is_not_valid_or_needs_backtracking_or_memory_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        patterns.Pattern(pattern)


@pytest.mark.parametrize("pattern", [
    "(a+)+$", "^b(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*a){20}$", "^(.|..)+$Z", "(.*)*(.*)*(.*)*!$", "(a?){100}a{100}$", "(a*)*b",
    "((a*)*)*$", "(aa|aab?)*$",
])
@pytest.mark.timed
def test_a_pattern_that_backtracking_engines_never_finish_is_decided_at_once(pattern: str) -> None:
    began = time.monotonic()
    patterns.Pattern(pattern).matches("b" + "a" * 250 + "!c")
    assert time.monotonic() - began < 1


@pytest.mark.timed
def test_a_pattern_that_needs_ever_more_sets_of_states_is_given_up() -> None:
    hostile, began = patterns.Pattern("(a|b)*a(a|b){100}"), time.monotonic()
    chosen = random.Random(1)
    texts = ["".join(chosen.choices("ab", k=90)) for _ in range(300)]
    with pytest.raises(PatternError, match="too complex"):
        [hostile.matches(text) for text in texts]
    assert time.monotonic() - began < 5
