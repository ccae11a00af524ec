# SPDX-License-Identifier: Apache-2.0
"""What the quickstart shows: a line per step with its time, progress on a terminal, a table at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator

_CLEARED = "\r\033[K"                # back to the line's start, and the rest of it away


class Failed(Exception):
    """A step cannot be done; `remedy` says what to do about it, `detail` is shown before both."""

    def __init__(self, reason: str, *, remedy: str = "", detail: str = "") -> None:
        super().__init__(reason)
        self.remedy = remedy
        self.detail = detail


@dataclasses.dataclass
class Step:
    """One step under way: `did` is what its line says in the end, `progress` what it is at."""

    name: str
    did: str = ""
    progress: str = ""
    seconds: float = 0.0


class Screen:
    """Prints steps; colours and moving lines on a terminal only."""

    def __init__(self, *, began: float | None = None, done: list[Step] | None = None) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._is_coloured = self._is_terminal and "NO_COLOR" not in os.environ
        self.began = time.time() if began is None else began
        """Seconds since the epoch, so that a second process can go on with the same start."""
        self.done = done if done is not None else []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """A step: its line appears when it has ended, with a tick or a cross."""
        step, began = Step(name), time.monotonic()
        with self._moving(step, began):
            try:
                yield step
            except BaseException:
                step.seconds = time.monotonic() - began
                self._line("✗", "31", step)
                raise
        step.seconds = time.monotonic() - began
        self.done.append(step)
        self._line("✓", "32", step)

    def note(self, text: str) -> None:
        """Something that is worth knowing and stops nothing."""
        print(f"{_CLEARED if self._is_terminal else ''}{self._paint('!', '33')} {text}", flush=True)

    def failure(self, failed: Failed) -> None:
        """Why it ended, on standard error."""
        sys.stdout.flush()
        if failed.detail:
            print(failed.detail, file=sys.stderr)
        print(f"tools/quickstart: {failed}", file=sys.stderr)
        if failed.remedy:
            print(f"  remedy: {failed.remedy}", file=sys.stderr)

    def summary(self) -> None:
        """The steps and their seconds."""
        width = max(len(step.name) for step in self.done)
        print(f"\n{'step':<{width}}  seconds")
        for step in self.done:
            print(f"{step.name:<{width}}  {step.seconds:7.1f}")
        print(f"{'all':<{width}}  {time.time() - self.began:7.1f}", flush=True)

    def _line(self, mark: str, colour: str, step: Step) -> None:
        print(f"{self._paint(mark, colour)} {step.name:<16} {step.did or step.progress}  "
              f"{self._paint(f'{step.seconds:.1f} s', '2')}", flush=True)

    def _paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if self._is_coloured else text

    @contextlib.contextmanager
    def _moving(self, step: Step, began: float) -> Iterator[None]:
        """While the step runs: on a terminal one line that moves, elsewhere a line for each change."""
        is_over = threading.Event()
        show = self._show_in_place if self._is_terminal else self._show_changes
        thread = threading.Thread(target=show, args=(step, began, is_over.wait), daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _show_in_place(self, step: Step, began: float, is_over: Callable[[float], bool]) -> None:
        while not is_over(0.1):
            words = (f"… {step.name:<16}", step.progress, f"{time.monotonic() - began:.0f} s")
            text = " ".join(word for word in words if word)
            print(f"{_CLEARED}{text[:shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        print(_CLEARED, end="", flush=True)

    def _show_changes(self, step: Step, began: float, is_over: Callable[[float], bool]) -> None:
        shown = ""
        while not is_over(0.1):
            if step.progress not in ("", shown):
                shown = step.progress
                print(f"  {step.name:<16} {shown} ({time.monotonic() - began:.1f} s)", flush=True)
