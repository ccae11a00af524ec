# SPDX-License-Identifier: Apache-2.0
"""Tokens and their keys: validation and rotation."""

from __future__ import annotations

import base64
import dataclasses
import os
import stat
import threading
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from nova_lite import errors
from nova_lite.runtime.tokens import CLOCK_SKEW_S, KeyRepository, Tokens
from nova_lite.values.image_grant import Access, ImageGrant


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
    repository = KeyRepository(str(tmp_path / "fernet-keys"))
    repository.create()
    return repository


@pytest.fixture
def issuer(keys: KeyRepository, clock: Clock) -> Tokens:
    return Tokens(keys, lifetime_s=3600, clock=clock)


def _names(keys: KeyRepository) -> set[str]:
    return set(os.listdir(keys.directory))


def _flipped(text: str, index: int) -> str:
    other = "A" if text[index] != "A" else "B"
    return text[:index] + other + text[index + 1 :]


def test_create_writes_a_staged_and_a_primary_key_readable_by_the_owner_only(keys: KeyRepository) -> None:
    modes = {stat.S_IMODE(os.stat(os.path.join(keys.directory, name)).st_mode) for name in ("0", "1")}
    assert _names(keys) == {"0", "1"}
    assert modes == {0o600}
    assert stat.S_IMODE(os.stat(keys.directory).st_mode) == 0o700


def test_create_keeps_existing_keys(keys: KeyRepository, issuer: Tokens) -> None:
    text, _ = issuer.issue("u1")
    assert keys.create() is False
    assert issuer.read(text).user_id == "u1"


def test_concurrent_creates_leave_one_complete_repository(tmp_path: Path) -> None:
    directory = str(tmp_path / "keys")
    barrier = threading.Barrier(8)
    results: list[bool] = []

    def create() -> None:
        barrier.wait()
        results.append(KeyRepository(directory).create())

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(True) == 1
    assert os.listdir(tmp_path) == ["keys"]


def test_a_token_has_the_content_it_was_issued_with(issuer: Tokens) -> None:
    text, token = issuer.issue("u1", project_id="p1", methods=("password",), password_mark="m")
    assert issuer.read(text) == token
    assert (token.user_id, token.project_id, token.methods) == ("u1", "p1", ("password",))
    assert token.expires_at - token.issued_at == 3600


def test_a_token_fits_a_header_and_has_no_padding(issuer: Tokens) -> None:
    text, _ = issuer.issue("u" * 64, project_id="p" * 64, password_mark="m" * 16)
    assert len(text) < 600
    assert "=" not in text


@pytest.mark.parametrize("text", ["", "x", "gAAAA", "é" * 40, "A" * 300, "a b", "\x00" * 10])
def test_text_that_is_not_a_token_is_refused(issuer: Tokens, text: str) -> None:
    with pytest.raises(errors.InvalidToken):
        issuer.read(text)


@pytest.mark.parametrize("index", [0, 5, 20, 60, 120, -3])
def test_a_token_with_one_letter_changed_is_refused(issuer: Tokens, index: int) -> None:
    text, _ = issuer.issue("u1", project_id="p1")
    with pytest.raises(errors.InvalidToken):
        issuer.read(_flipped(text, index % len(text)))


def test_a_token_of_another_cloud_is_refused(issuer: Tokens, tmp_path: Path) -> None:
    foreign = KeyRepository(str(tmp_path / "other"))
    foreign.create()
    text, _ = Tokens(foreign, lifetime_s=3600).issue("admin")
    with pytest.raises(errors.InvalidToken):
        issuer.read(text)


def test_other_data_encrypted_with_a_token_key_is_refused(issuer: Tokens, keys: KeyRepository) -> None:
    encrypted = Fernet(Path(keys.directory, "1").read_bytes()).encrypt(b"\x93\x02\x01\x00").decode()
    with pytest.raises(errors.InvalidToken):
        issuer.read(encrypted)


def test_a_token_expires_at_its_expiry_time(issuer: Tokens, clock: Clock) -> None:
    text, token = issuer.issue("u1")
    clock.now = token.expires_at - 0.001
    assert issuer.read(text) == token
    clock.now = token.expires_at
    with pytest.raises(errors.InvalidToken, match="expired"):
        issuer.read(text)


def test_a_token_of_a_slightly_fast_clock_is_valid(issuer: Tokens, clock: Clock) -> None:
    text, _ = issuer.issue("u1")
    clock.now -= CLOCK_SKEW_S
    assert issuer.read(text).user_id == "u1"


def test_a_token_from_the_future_is_refused(issuer: Tokens, clock: Clock) -> None:
    text, _ = issuer.issue("u1")
    clock.now -= CLOCK_SKEW_S + 1
    with pytest.raises(errors.InvalidToken, match="future"):
        issuer.read(text)


def test_a_token_issued_for_a_token_expires_with_it(issuer: Tokens, clock: Clock) -> None:
    _, parent = issuer.issue("u1")
    clock.now += 1800
    _, child = issuer.issue("u1", project_id="p1", parent=parent)
    assert child.expires_at == parent.expires_at
    assert child.audit_ids[1] == parent.audit_ids[0]
    assert child.audit_ids[0] != parent.audit_ids[0]


def test_a_hosts_token_is_for_one_image(issuer: Tokens) -> None:
    grant = ImageGrant("i1", Access.READ, "h1")
    token = issuer.read(issuer.issue_for_image(grant, project_id="p1", lifetime_s=60))
    assert (token.user_id, token.project_id, token.grant) == ("nova", "p1", grant)
    assert token.expires_at - token.issued_at == 60
    assert grant.allows("GET", "/images/i1/file")
    assert not grant.allows("PUT", "/images/i1/file")
    assert not grant.allows("GET", "/images/i2/file")


def test_a_service_token_of_release_0_1_is_refused(issuer: Tokens, keys: KeyRepository) -> None:
    content = b'{"u":"nova","p":"p1","m":["service"],"a":["x"],"i":1,"e":99999999999,"r":["service","reader"]}'
    with pytest.raises(errors.InvalidToken):
        issuer.read(keys.keys().encrypt(content).rstrip(b"=").decode())


def test_rotation_promotes_the_staged_key_and_stages_another(keys: KeyRepository) -> None:
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
    before, _ = running.issue("before")
    keys.rotate()
    after, _ = Tokens(KeyRepository(keys.directory), lifetime_s=3600, clock=clock).issue("after")
    assert running.read(before).user_id == "before"
    assert running.read(after).user_id == "after"


def test_a_process_without_the_rotated_keys_reads_tokens_of_the_new_primary(
    keys: KeyRepository, tmp_path: Path, clock: Clock
) -> None:
    # A copy from before the rotation, as on a host without the new keys: its staged key is the new primary.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("0", "1"):
        (copy / name).write_bytes(Path(keys.directory, name).read_bytes())
    keys.rotate()
    text, _ = Tokens(keys, lifetime_s=3600, clock=clock).issue("u1")
    assert Tokens(KeyRepository(str(copy)), lifetime_s=3600, clock=clock).read(text).user_id == "u1"


def test_a_token_is_invalid_when_rotation_deleted_its_key(keys: KeyRepository, issuer: Tokens) -> None:
    text, _ = issuer.issue("u1")
    keys.rotate()
    assert issuer.read(text).user_id == "u1"
    keys.rotate()
    with pytest.raises(errors.InvalidToken):
        issuer.read(text)


def test_keys_that_did_not_change_are_read_once(keys: KeyRepository) -> None:
    os.utime(keys.directory, (1_700_000_000, 1_700_000_000))
    running = KeyRepository(keys.directory)
    assert running.keys() is running.keys()


@pytest.mark.parametrize("content", ["", "x", "half-of-a-key_2rI4nLqO"])
@pytest.mark.parametrize("number", [0, 2])
def test_a_file_without_a_whole_key_is_left_out(keys: KeyRepository, issuer: Tokens, number: int, content: str) -> None:
    text, _ = issuer.issue("u1")
    Path(keys.directory, str(number)).write_text(content)
    running = Tokens(KeyRepository(keys.directory), lifetime_s=3600, clock=issuer._clock)
    assert running.read(text).user_id == "u1"
    assert running.read(running.issue("u2")[0]).user_id == "u2"


def test_a_key_whose_copy_ends_later_is_used_then(keys: KeyRepository) -> None:
    key = Fernet.generate_key()
    copied = Path(keys.directory, "2")
    copied.touch()
    os.utime(keys.directory, (1_700_000_000, 1_700_000_000))
    running = KeyRepository(keys.directory)
    running.keys()
    copied.write_bytes(key)  # the directory's time stays
    assert running.keys().decrypt(Fernet(key).encrypt(b"text")) == b"text"


def test_rotation_does_not_make_an_empty_staged_key_primary(keys: KeyRepository) -> None:
    Path(keys.directory, "0").write_text("")
    primary = keys.rotate()
    assert len(base64.urlsafe_b64decode(Path(keys.directory, str(primary)).read_bytes())) == 32


def test_a_repository_of_damaged_keys_is_reported(keys: KeyRepository) -> None:
    for name in _names(keys):
        Path(keys.directory, name).write_text("")
    with pytest.raises(errors.Unavailable, match="cannot be read"):
        keys.keys()


def test_a_missing_repository_is_reported(tmp_path: Path) -> None:
    tokens = Tokens(KeyRepository(str(tmp_path / "none")), lifetime_s=60)
    with pytest.raises(errors.Unavailable, match="none"):
        tokens.issue("u1")


def test_an_encrypted_secret_is_decrypted_and_is_not_a_token(issuer: Tokens) -> None:
    encrypted = issuer.encrypt_secret("pä$$ wörd")
    assert (issuer.decrypt_secret(encrypted), "rd" in encrypted and "pä" in encrypted) == ("pä$$ wörd", False)
    with pytest.raises(errors.InvalidToken):
        issuer.read(issuer.encrypt_secret('{"u": "a", "p": "b", "m": [], "a": [], "i": 1, "e": 9999999999}'))


def test_a_token_is_not_an_encrypted_secret(issuer: Tokens) -> None:
    text, _ = issuer.issue("u")
    assert issuer.decrypt_secret(text + "=" * (-len(text) % 4)) is None
    assert issuer.decrypt_secret("nonsense") is None
