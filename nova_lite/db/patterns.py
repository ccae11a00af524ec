# SPDX-License-Identifier: Apache-2.0
"""Regular expressions of users, matched in time linear in the text: the common part of what the three databases have.

Thompson's construction (https://swtch.com/~rsc/regexp/regexp1.html): all positions that the pattern can be in are followed at
once, and each set of them is computed once. Back references and assertions, which need backtracking, are refused. SQLite's
REGEXP is this; PostgreSQL and MariaDB get the same patterns with the same limits.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator

from nova_lite import errors

MAX_LENGTH = 255  # of a pattern, as of the names that it selects
_MAX_DEPTH = 50
_MAX_REPEAT = 255
_MAX_STATES = 500  # of the pattern with its counted repetitions written out
_MAX_PIECES = 5000
_MAX_STEPS = 5000  # transitions between sets of states that one pattern may need over all texts
TOO_COMPLEX = "the pattern is too complex for the names that it is compared with"
_MATCH = 1  # the set of only the first state, which is "match"

_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": "0123456789".__contains__, "w": lambda char: char.isalnum() or char == "_", "s": str.isspace,
    "alpha": str.isalpha, "digit": "0123456789".__contains__, "alnum": str.isalnum, "upper": str.isupper, "lower": str.islower,
    "space": str.isspace, "blank": lambda char: char in " \t", "xdigit": lambda char: char in "0123456789abcdefABCDEF",
    "punct": lambda char: char.isascii() and char.isprintable() and not char.isalnum() and char != " ",
}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}
_COUNTS = re.compile(r"\{([0-9]{1,3})(,([0-9]{0,3}))?\}")
_Test = Callable[[str], bool]


class PatternError(errors.BadRequest):
    """The pattern is not valid, or needs more than this engine allows; the text says what."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason=reason)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A piece of the pattern: `kind` char, start, end, join, either, repeat; `parts` are its pieces."""

    kind: str
    test: _Test | None = None
    parts: tuple[_Part, ...] = ()
    least: int = 0
    most: int | None = None


class Pattern:
    """A compiled pattern; may be shared by threads: what they add to its tables is the same for all of them.

    A set of states is an integer with their bits.
    """

    def __init__(self, text: str) -> None:
        """:raises PatternError: it cannot be used."""
        if len(text) > MAX_LENGTH:
            raise PatternError(f"a pattern has at most {MAX_LENGTH} characters")
        # By state: its kind (char, split, start, end, match), its test and the states that follow it.
        self._states: list[tuple[str, _Test | None, tuple[int, ...]]] = []
        self._pieces = 0
        first = self._build(_Parser(text).whole(), self._add("match"))
        self._tests = tuple(dict.fromkeys(test for _, test, _ in self._states if test is not None))
        self._ends = sum(1 << state for state, (kind, _, _) in enumerate(self._states) if kind == "end")
        self._kinds: dict[str, int] = {}
        self._accepting: dict[int, int] = {}
        self._after: dict[int, int] = {}
        self._steps: dict[tuple[int, int], int] = {}
        self._inside = self._closure([first])
        self._begin = self._closure([first], is_start=True)

    def matches(self, text: str) -> bool:
        """Whether the pattern is found anywhere in the text.

        :raises PatternError: to decide it, too many sets of states are needed.
        """
        current = self._begin
        for char in text:
            if current & _MATCH:
                return True
            kind = self._kind(char)
            following = self._steps.get((current, kind))
            current = self._step(current, char, kind) if following is None else following
        if current & self._ends:
            after = [state for end in _bits(current & self._ends) for state in self._states[end][2]]
            current |= self._closure(after, is_start=not text, is_end=True)
        return bool(current & _MATCH)

    def _kind(self, char: str) -> int:
        """Characters of one kind are alike to every test of the pattern."""
        kind = self._kinds.get(char)
        if kind is None:
            kind = sum(1 << number for number, test in enumerate(self._tests) if test(char))
            if len(self._kinds) < _MAX_STEPS:
                self._kinds[char] = kind
        return kind

    def _step(self, current: int, char: str, kind: int) -> int:
        if len(self._steps) >= _MAX_STEPS:
            raise PatternError(TOO_COMPLEX)
        accepting = self._accepting.get(kind)
        if accepting is None:
            accepting = sum(1 << state for state, (_, test, _) in enumerate(self._states) if test is not None and test(char))
            self._accepting[kind] = accepting
        found = self._inside
        for state in _bits(current & accepting):
            if state not in self._after:
                self._after[state] = self._closure(self._states[state][2])
            found |= self._after[state]
        self._steps[current, kind] = found
        return found

    def _closure(self, states: Iterable[int], *, is_start: bool = False, is_end: bool = False) -> int:
        """All that can be reached from `states` without a character."""
        found = 0
        waiting = list(states)
        while waiting:
            state = waiting.pop()
            if found >> state & 1:
                continue
            found |= 1 << state
            kind, _, following = self._states[state]
            if kind == "split" or (kind == "start" and is_start) or (kind == "end" and is_end):
                waiting += following
        return found

    def _add(self, kind: str, test: _Test | None = None, *following: int) -> int:
        if len(self._states) >= _MAX_STATES:
            raise PatternError("its repetitions are too many")
        self._states.append((kind, test, following))
        return len(self._states) - 1

    def _build(self, part: _Part, after: int) -> int:
        """Add the states of `part`, which continues at `after`; its first state."""
        self._pieces += 1
        if self._pieces > _MAX_PIECES:  # repetitions of nothing add no states
            raise PatternError("its repetitions are too many")
        if part.kind == "join":
            for piece in reversed(part.parts):
                after = self._build(piece, after)
            return after
        if part.kind == "either":
            return self._add("split", None, *(self._build(piece, after) for piece in part.parts))
        if part.kind == "repeat":
            return self._build_repeat(part, after)
        return self._add(part.kind, part.test, after)

    def _build_repeat(self, part: _Part, after: int) -> int:
        (piece,) = part.parts
        if part.most is None:
            loop = self._add("split", None)
            self._states[loop] = ("split", None, (self._build(piece, loop), after))
            after = loop
        else:
            last = after
            for _ in range(part.most - part.least):
                after = self._add("split", None, self._build(piece, after), last)
        for _ in range(part.least):
            after = self._build(piece, after)
        return after


class _Parser:
    """Reads a pattern from left to right."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0
        self._is_folded = text.startswith("(?i)")
        if self._is_folded:
            self._at = 4
        self._literals: dict[str, _Test] = {}

    def whole(self) -> _Part:
        part = self._either()
        if self._at < len(self._text):
            raise PatternError(f"unbalanced parenthesis at position {self._at}")
        return part

    def _next(self) -> str:
        return self._text[self._at:self._at + 1]

    def _take(self) -> str:
        if self._at >= len(self._text):
            raise PatternError("unexpected end of the pattern")
        self._at += 1
        return self._text[self._at - 1]

    def _either(self) -> _Part:
        parts = [self._join()]
        while self._next() == "|":
            self._at += 1
            parts.append(self._join())
        return parts[0] if len(parts) == 1 else _Part("either", parts=tuple(parts))

    def _join(self) -> _Part:
        parts = []
        while self._next() not in ("", "|", ")"):
            parts.append(self._repeated())
        return _Part("join", parts=tuple(parts))

    def _repeated(self) -> _Part:
        part = self._atom()
        least_most = self._counts()
        if least_most is None:
            return part
        if part.kind in ("start", "end"):
            raise PatternError(f"nothing to repeat at position {self._at}")
        if self._next() == "?":  # lazy: it changes what is matched, not whether
            self._at += 1
        if self._next() in ("*", "+", "?", "{") and self._next():
            raise PatternError(f"multiple repeat at position {self._at}")
        return _Part("repeat", parts=(part,), least=least_most[0], most=least_most[1])

    def _counts(self) -> tuple[int, int | None] | None:
        char = self._next()
        if char and char in "*+?":
            self._at += 1
            return (1 if char == "+" else 0), (1 if char == "?" else None)
        if char != "{":
            return None
        match = _COUNTS.match(self._text, self._at)
        if match is None:
            raise PatternError(f"invalid repetition at position {self._at}; write \\{{ for the character")
        self._at = match.end()
        least = int(match[1])
        most = least if match[2] is None else int(match[3]) if match[3] else None
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise PatternError(f"a repetition is from n to m, n <= m <= {_MAX_REPEAT}")
        return least, most

    def _atom(self) -> _Part:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return _Part("char", self._bracket())
        if char in "*+?{":
            raise PatternError(f"nothing to repeat at position {self._at - 1}")
        if char in "^$":
            return _Part("start" if char == "^" else "end")
        if char == ".":
            return _Part("char", _any)
        return _Part("char", self._escaped() if char == "\\" else self._literal(char))

    def _group(self) -> _Part:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise PatternError(f"parentheses are nested more than {_MAX_DEPTH} deep")
        if self._next() == "?":
            if self._text[self._at:self._at + 2] != "?:":
                raise PatternError("of (?…) only (?:…), and (?i) at the start, are supported")
            self._at += 2
        part = self._either()
        if self._next() != ")":
            raise PatternError("missing ), unterminated subpattern")
        self._at += 1
        self._depth -= 1
        return part

    def _escaped(self) -> _Test:
        char = self._take()
        if char.lower() in "dws":
            test = _CLASSES[char.lower()]
            return test if char.islower() else _not(test)
        return self._literal(self._escaped_char(char))

    def _escaped_char(self, char: str) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char.isalnum():
            raise PatternError(f"\\{char} is not supported")
        return char

    def _literal(self, char: str) -> _Test:
        """One test for each character, so that equal characters are of one kind."""
        if self._is_folded:
            char = char.lower()
        return self._literals.setdefault(char, self._folded(char.__eq__))

    def _folded(self, test: Callable[[str], bool]) -> _Test:
        if not self._is_folded:
            return test
        return lambda char: test(char.lower()) or test(char.upper())

    def _bracket(self) -> _Test:
        is_negated = self._next() == "^"
        self._at += is_negated
        tests: list[_Test] = []
        while self._next() != "]" or not tests:
            tests.append(self._bracket_item())
        self._at += 1
        test = self._folded(lambda char: any(one(char) for one in tests))
        return _not(test) if is_negated else test

    def _bracket_item(self) -> _Test:
        char = self._take()
        if char == "[" and self._next() and self._next() in ":.=":
            match = re.compile(r":(\w+):\]").match(self._text, self._at)
            if match is None or match[1] not in _CLASSES or len(match[1]) < 2:
                raise PatternError(f"unknown character class at position {self._at - 1}")
            self._at = match.end()
            return _CLASSES[match[1]]
        if char == "\\":
            if self._next() and self._next().lower() in "dws":
                return self._escaped()
            char = self._escaped_char(self._take())
        if self._next() != "-" or self._text[self._at + 1:self._at + 2] in ("]", ""):
            return char.__eq__
        self._at += 1
        last = self._take()
        if last == "\\":
            last = self._escaped_char(self._take())
        if last < char:
            raise PatternError(f"bad character range {char}-{last}")
        return lambda other: char <= other <= last


def _bits(states: int) -> Iterator[int]:
    while states:
        lowest = states & -states
        yield lowest.bit_length() - 1
        states ^= lowest


def _any(_char: str) -> bool:
    return True


def _not(test: _Test) -> _Test:
    return lambda char: not test(char)


@functools.lru_cache(maxsize=64)
def compiled(text: str) -> Pattern:
    """The pattern; its tables are kept for the next rows and requests.

    :raises PatternError: it cannot be used.
    """
    return Pattern(text)


def sqlite_regexp(pattern: str, text: str | None) -> bool | None:
    """`text REGEXP pattern` in SQLite. :raises PatternError: the statement fails with it."""
    return None if text is None else compiled(pattern).matches(text)
