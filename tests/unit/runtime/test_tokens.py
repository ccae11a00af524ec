# SPDX-License-Identifier: Apache-2.0
"""Tokens and their keys: what is refused, and what a rotation keeps valid."""

from __future__ import annotations

import dataclasses
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from nova_lite import errors
from nova_lite.runtime.tokens import CLOCK_SKEW_S, KeyRepository, Tokens


@dataclasses.dataclass
class Clock:
    """A clock that tests set."""

    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path) -> KeyRepository:
    made = KeyRepository(str(tmp_path / "fernet-keys"))
    made.create()
    return made


@pytest.fixture
def minted(keys: KeyRepository, clock: Clock) -> Tokens:
    return Tokens(keys, lifetime_s=3600, clock=clock)


def _names(keys: KeyRepository) -> set[str]:
    return set(os.listdir(keys.directory))


def _flipped(text: str, index: int) -> str:
    other = "A" if text[index] != "A" else "B"
    return text[:index] + other + text[index + 1 :]


def test_create_makes_a_staged_and_a_primary_key_that_only_the_owner_reads(keys: KeyRepository) -> None:
    modes = {stat.S_IMODE(os.stat(os.path.join(keys.directory, name)).st_mode) for name in ("0", "1")}
    assert _names(keys) == {"0", "1"}
    assert modes == {0o600}
    assert stat.S_IMODE(os.stat(keys.directory).st_mode) == 0o700


def test_create_keeps_the_keys_that_are_there(keys: KeyRepository, minted: Tokens) -> None:
    text, _ = minted.mint("u1")
    assert keys.create() is False
    assert minted.read(text).user_id == "u1"


def test_create_by_many_processes_at_once_leaves_one_whole_repository(tmp_path: Path) -> None:
    directory = str(tmp_path / "keys")
    barrier = threading.Barrier(8)
    made: list[bool] = []

    def create() -> None:
        barrier.wait()
        made.append(KeyRepository(directory).create())

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.count(True) == 1
    assert os.listdir(tmp_path) == ["keys"]


def test_a_token_says_what_it_was_minted_with(minted: Tokens) -> None:
    text, token = minted.mint("u1", project_id="p1", methods=("password",), password_mark="m")
    assert minted.read(text) == token
    assert (token.user_id, token.project_id, token.methods) == ("u1", "p1", ("password",))
    assert token.expires_at - token.issued_at == 3600


def test_a_token_fits_a_header_and_has_no_padding(minted: Tokens) -> None:
    text, _ = minted.mint("u" * 64, project_id="p" * 64, password_mark="m" * 16)
    assert len(text) < 600
    assert "=" not in text


@pytest.mark.parametrize("text", ["", "x", "gAAAA", "é" * 40, "A" * 300, "a b", "\x00" * 10])
def test_what_is_not_a_token_is_refused(minted: Tokens, text: str) -> None:
    with pytest.raises(errors.InvalidToken):
        minted.read(text)


@pytest.mark.parametrize("index", [0, 5, 20, 60, 120, -3])
def test_a_token_with_one_letter_changed_is_refused(minted: Tokens, index: int) -> None:
    text, _ = minted.mint("u1", project_id="p1")
    with pytest.raises(errors.InvalidToken):
        minted.read(_flipped(text, index % len(text)))


def test_a_token_of_another_cloud_is_refused(minted: Tokens, tmp_path: Path) -> None:
    foreign = KeyRepository(str(tmp_path / "other"))
    foreign.create()
    text, _ = Tokens(foreign, lifetime_s=3600).mint("admin")
    with pytest.raises(errors.InvalidToken):
        minted.read(text)


def test_what_another_program_sealed_with_our_keys_is_refused(minted: Tokens, keys: KeyRepository) -> None:
    sealed = Fernet(Path(keys.directory, "1").read_bytes()).encrypt(b"\x93\x02\x01\x00").decode()
    with pytest.raises(errors.InvalidToken):
        minted.read(sealed)


def test_a_token_ends_at_the_very_second_that_it_says(minted: Tokens, clock: Clock) -> None:
    text, token = minted.mint("u1")
    clock.now = token.expires_at - 0.001
    assert minted.read(text) == token
    clock.now = token.expires_at
    with pytest.raises(errors.InvalidToken, match="expired"):
        minted.read(text)


def test_a_token_from_a_clock_a_little_ahead_is_good(minted: Tokens, clock: Clock) -> None:
    text, _ = minted.mint("u1")
    clock.now -= CLOCK_SKEW_S
    assert minted.read(text).user_id == "u1"


def test_a_token_from_the_future_is_refused(minted: Tokens, clock: Clock) -> None:
    text, _ = minted.mint("u1")
    clock.now -= CLOCK_SKEW_S + 1
    with pytest.raises(errors.InvalidToken, match="future"):
        minted.read(text)


def test_a_token_made_from_a_token_ends_with_it(minted: Tokens, clock: Clock) -> None:
    _, parent = minted.mint("u1")
    clock.now += 1800
    _, child = minted.mint("u1", project_id="p1", parent=parent)
    assert child.expires_at == parent.expires_at
    assert child.audit_ids[1] == parent.audit_ids[0]
    assert child.audit_ids[0] != parent.audit_ids[0]


def test_a_service_token_vouches_for_itself_in_one_project(minted: Tokens) -> None:
    token = minted.read(minted.mint_service(project_id="p1", lifetime_s=60))
    assert token.is_service
    assert (token.user_id, token.project_id, token.roles) == ("nova", "p1", ("service", "reader"))
    assert token.expires_at - token.issued_at == 60


def test_rotation_makes_the_staged_key_primary_and_stages_another(keys: KeyRepository) -> None:
    staged = Path(keys.directory, "0").read_bytes()
    assert keys.rotate() == 2
    assert _names(keys) == {"0", "1", "2"}
    assert Path(keys.directory, "2").read_bytes() == staged
    assert Path(keys.directory, "0").read_bytes() != staged


def test_rotation_keeps_at_most_the_active_keys(keys: KeyRepository) -> None:
    primaries = [keys.rotate() for _ in range(4)]
    assert primaries == [2, 3, 4, 5]
    assert _names(keys) == {"0", "4", "5"}


def test_a_running_process_reads_tokens_from_before_and_after_a_rotation(keys: KeyRepository, clock: Clock) -> None:
    running = Tokens(KeyRepository(keys.directory), lifetime_s=3600, clock=clock)
    before, _ = running.mint("before")
    keys.rotate()
    after, _ = Tokens(KeyRepository(keys.directory), lifetime_s=3600, clock=clock).mint("after")
    assert running.read(before).user_id == "before"
    assert running.read(after).user_id == "after"


def test_a_process_that_has_not_seen_the_rotation_reads_what_the_new_primary_sealed(
    keys: KeyRepository, tmp_path: Path, clock: Clock
) -> None:
    # A copy from before the rotation, as on a host that the new keys have not reached: the staged key serves it.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("0", "1"):
        (copy / name).write_bytes(Path(keys.directory, name).read_bytes())
    keys.rotate()
    text, _ = Tokens(keys, lifetime_s=3600, clock=clock).mint("u1")
    assert Tokens(KeyRepository(str(copy)), lifetime_s=3600, clock=clock).read(text).user_id == "u1"


def test_a_token_ends_when_its_key_is_rotated_away(keys: KeyRepository, minted: Tokens) -> None:
    text, _ = minted.mint("u1")
    keys.rotate()
    assert minted.read(text).user_id == "u1"
    keys.rotate()
    with pytest.raises(errors.InvalidToken):
        minted.read(text)


def test_keys_that_did_not_change_are_read_once(keys: KeyRepository) -> None:
    os.utime(keys.directory, (1_700_000_000, 1_700_000_000))
    running = KeyRepository(keys.directory)
    assert running.keys() is running.keys()


def test_a_missing_repository_is_said_to_be_missing(tmp_path: Path) -> None:
    nothing = Tokens(KeyRepository(str(tmp_path / "none")), lifetime_s=60)
    with pytest.raises(errors.Unavailable, match="none"):
        nothing.mint("u1")


def test_a_sealed_secret_opens_to_itself_and_is_no_token(minted: Tokens) -> None:
    sealed = minted.seal_secret("pä$$ wörd")
    assert (minted.open_secret(sealed), "rd" in sealed and "pä" in sealed) == ("pä$$ wörd", False)
    with pytest.raises(errors.InvalidToken):
        minted.read(minted.seal_secret('{"u": "a", "p": "b", "m": [], "a": [], "i": 1, "e": 9999999999}'))


def test_a_token_is_no_sealed_secret(minted: Tokens) -> None:
    text, _ = minted.mint("u")
    assert minted.open_secret(text + "=" * (-len(text) % 4)) is None
    assert minted.open_secret("nonsense") is None
