# SPDX-License-Identifier: Apache-2.0
"""Issues and validates Fernet tokens, with a repository of keys that rotate while daemons run.

The repository is a directory laid out as Keystone's, for the same operation: files with numbers for names, mode 0600;
the highest is the primary (encrypts), 0 is staged (becomes the next primary), all others decrypt only. The API, and the
conductor for workers' image downloads, share it.
"""

from __future__ import annotations

import dataclasses
import fcntl
import functools
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.values.image_grant import Access, ImageGrant

LOG = logging.getLogger(__name__)
STAGED = 0
MAX_ACTIVE_KEYS = 3  # staged, primary and one that only decrypts: rotate no more often than tokens live
CLOCK_SKEW_S = 300  # how far ahead the clock of the daemon that issued a token may be
SERVICE_USER = "nova"
_SECRET = b"secret:"  # not JSON, so never a token
_RACY_S = 1.0  # two changes of a directory within one tick of the file system's clock have the same mtime

Clock = Callable[[], float]


@dataclasses.dataclass(frozen=True)
class Token:
    """A token's content; times are seconds since the epoch, to the microsecond.

    `project_id` "": unscoped. `audit_ids`: its own, then that of the token that it was issued for.
    `grant` only in a host's token, which no user has; it is good for that and nothing else.
    `password_mark` binds the token to the password at that time (`db.passwords.mark`), independent of clocks; to the secret of
    the application credential `credential_id`, if it was issued for one.
    """

    user_id: str
    project_id: str
    methods: tuple[str, ...]
    audit_ids: tuple[str, ...]
    issued_at: float
    expires_at: float
    password_mark: str = ""
    grant: ImageGrant | None = None
    credential_id: str = ""


class KeyRepository:
    """The keys in one directory, read again when it changes. Threads may share it."""

    def __init__(self, directory: str, *, clock: Clock = time.time) -> None:
        self.directory = directory
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = -1
        self._is_stable = False
        self._keys: MultiFernet | None = None
        self._skipped: dict[int, str] = {}

    def create(self) -> bool:
        """Create the directory with a staged and a primary key; False: it existed.

        Several processes may do so at once: the directory appears complete or not at all.
        """
        if os.path.isdir(self.directory) and _numbers(self.directory):
            return False
        parent = os.path.dirname(os.path.abspath(self.directory))
        os.makedirs(parent, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".fernet-keys-", dir=parent)  # mode 0700
        try:
            for number in (STAGED, STAGED + 1):
                _write(temporary, number, Fernet.generate_key())
            os.rename(temporary, self.directory)
        except OSError:
            if not _numbers(self.directory):  # else another process has created it first
                raise
            return False
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return True

    def rotate(self, *, max_active_keys: int = MAX_ACTIVE_KEYS) -> int:
        """Make the staged key primary, stage a new one, and delete the oldest beyond `max_active_keys`.

        Returns the primary's number.
        """
        handle = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            numbers = _numbers(self.directory)
            primary = max(numbers, default=STAGED) + 1
            if STAGED not in numbers or _read_keys(self.directory, [STAGED])[1]:
                _write(self.directory, STAGED, Fernet.generate_key())
            # The staged key keeps its number until its copy exists, so that every reader finds it.
            _write(self.directory, primary, _read(self.directory, STAGED))
            _write(self.directory, STAGED, Fernet.generate_key())
            old = sorted(set(numbers) - {STAGED})
            for number in old[: max(0, len(old) + 2 - max(2, max_active_keys))]:
                os.unlink(os.path.join(self.directory, str(number)))
            os.fsync(handle)
        finally:
            os.close(handle)
        return primary

    def keys(self) -> MultiFernet:
        """The keys in the directory now, primary first.

        Files that hold no key, such as one that is being copied, are left out until they do.

        :raises errors.Unavailable: there are none, or they cannot be read.
        """
        try:
            stamp = os.stat(self.directory).st_mtime_ns
            if self._keys is None or stamp != self._stamp or not self._is_stable:
                with self._lock:
                    self._load(stamp)
        except (OSError, ValueError) as error:
            raise errors.Unavailable(reason=f"The token keys in {self.directory} cannot be read: {error}") from error
        assert self._keys is not None
        return self._keys

    def _load(self, stamp: int) -> None:
        numbers = sorted(_numbers(self.directory), reverse=True)
        if not numbers:
            raise ValueError("there are none")
        keys, skipped = _read_keys(self.directory, numbers)
        if not keys:
            raise ValueError("; ".join(f"{number}: {reason}" for number, reason in skipped.items()))
        if skipped != self._skipped:
            for number, reason in skipped.items():
                LOG.warning("key %s in %s is not used: %s", number, self.directory, reason)
        self._skipped = skipped
        self._keys = MultiFernet(keys)
        self._stamp = stamp
        # Writing into a file does not change the directory's time.
        self._is_stable = not skipped and self._clock() - stamp / 1e9 > _RACY_S


class Tokens:
    """Issues and validates tokens with the keys of one repository, by one clock."""

    def __init__(self, keys: KeyRepository, *, lifetime_s: int, clock: Clock = time.time) -> None:
        self._keys = keys
        self._lifetime_s = lifetime_s
        self._clock = clock

    def issue(
        self,
        user_id: str,
        *,
        project_id: str = "",
        methods: tuple[str, ...] = ("password",),
        password_mark: str = "",
        parent: Token | None = None,
        credential_id: str = "",
        expires_by: float | None = None,
    ) -> tuple[str, Token]:
        """A token for the user, scoped to the project; one issued for `parent` expires with it, and all at `expires_by`."""
        now = round(self._clock(), 6)
        expires_at = now + self._lifetime_s if parent is None else parent.expires_at
        expires_at = expires_at if expires_by is None else min(expires_at, expires_by)
        audit_ids = (_audit_id(), *(parent.audit_ids[:1] if parent else ()))
        token = Token(user_id, project_id, methods, audit_ids, now, expires_at, password_mark, credential_id=credential_id)
        return self._encrypt(token), token

    def issue_for_image(self, grant: ImageGrant, *, project_id: str, lifetime_s: int = 3600) -> str:
        """A token for what is granted to a host, on behalf of the project; it has no user's row.

        A stolen host can read or write that image's data with it, for `lifetime_s`, and do nothing else.
        """
        now = round(self._clock(), 6)
        return self._encrypt(
            Token(SERVICE_USER, project_id, ("service",), (_audit_id(),), now, now + lifetime_s, grant=grant)
        )

    def read(self, text: str) -> Token:
        """The token's content, if it was issued with one of the keys and has not expired.

        :raises errors.InvalidToken: forged, of another cloud, damaged, expired or from the future.
        """
        padded = text + "=" * (-len(text) % 4)
        try:
            content = self._keys.keys().decrypt(padded.encode("ascii"))
        except (InvalidToken, UnicodeEncodeError):
            raise errors.InvalidToken(reason="it was not issued by this cloud, or its key was deleted") from None
        try:
            token = _from_json(content)
        except (ValueError, KeyError):
            raise errors.InvalidToken(reason="it is not a token, although it was encrypted with a token key") from None
        now = self._clock()
        if now >= token.expires_at:
            raise errors.InvalidToken(reason="it has expired")
        if token.issued_at > now + CLOCK_SKEW_S:
            raise errors.InvalidToken(reason="it was issued in the future")
        return token

    def encrypt_secret(self, secret: str) -> str:
        """The secret, encrypted for a row: only this cloud's API and conductors can decrypt it.

        It gets a prefix that no token has, so that a user who chooses the secret cannot have a token issued.
        """
        return self._keys.keys().encrypt(_SECRET + secret.encode()).decode("ascii")

    def decrypt_secret(self, encrypted: str) -> str | None:
        """The argument of `encrypt_secret`; None: its key was deleted, or it is not an encrypted secret."""
        try:
            content = self._keys.keys().decrypt(encrypted.encode("ascii"))
        except InvalidToken:
            return None
        return content.removeprefix(_SECRET).decode() if content.startswith(_SECRET) else None

    def _encrypt(self, token: Token) -> str:
        return self._keys.keys().encrypt(_to_json(token)).rstrip(b"=").decode("ascii")


def directory_of(conf: cfg.ConfigOpts) -> str:
    """The configured key repository's directory."""
    return str(conf.identity.key_repository) or os.path.join(conf.state_path, "fernet-keys")


def open_tokens(conf: cfg.ConfigOpts) -> Tokens:
    """The process's Tokens for this configuration, with one cache of keys for all callers."""
    return _opened(directory_of(conf), int(conf.identity.token_expiration))


@functools.cache
def _opened(directory: str, lifetime_s: int) -> Tokens:
    return Tokens(KeyRepository(directory), lifetime_s=lifetime_s)


def _audit_id() -> str:
    return secrets.token_urlsafe(16)  # 128 bits, as Keystone's


def _to_json(token: Token) -> bytes:
    fields: dict[str, object] = {
        "u": token.user_id,
        "p": token.project_id,
        "m": token.methods,
        "a": token.audit_ids,
        "i": token.issued_at,
        "e": token.expires_at,
    }
    if token.password_mark:
        fields["k"] = token.password_mark
    if token.credential_id:
        fields["c"] = token.credential_id
    if token.grant:
        fields["g"] = (token.grant.image_id, token.grant.access, token.grant.host)
    return json.dumps(fields, separators=(",", ":")).encode()


def _from_json(content: bytes) -> Token:
    fields = json.loads(content)
    if "r" in fields:
        raise ValueError("it is a service's token of release 0.1, which was good for too much")
    grant = fields.get("g")
    return Token(
        fields["u"],
        fields["p"],
        tuple(fields["m"]),
        tuple(fields["a"]),
        float(fields["i"]),
        float(fields["e"]),
        fields.get("k", ""),
        ImageGrant(grant[0], Access(grant[1]), grant[2]) if grant else None,
        fields.get("c", ""),
    )


def _numbers(directory: str) -> list[int]:
    return [int(name) for name in os.listdir(directory) if name.isdecimal()] if os.path.isdir(directory) else []


def _read(directory: str, number: int) -> bytes:
    with open(os.path.join(directory, str(number)), "rb") as file:
        return file.read().strip()


def _read_keys(directory: str, numbers: list[int]) -> tuple[list[Fernet], dict[int, str]]:
    """The keys of the files, in this order; and those of the files that hold no usable key, with the reason."""
    keys, unusable = [], {}
    for number in numbers:
        try:
            keys.append(Fernet(_read(directory, number)))
        except (OSError, ValueError) as error:
            unusable[number] = str(error)
    return keys, unusable


def _write(directory: str, number: int, key: bytes) -> None:
    """Write the key durably to its file, which appears complete or not at all."""
    temporary = os.path.join(directory, f".{number}.new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    os.rename(temporary, os.path.join(directory, str(number)))
