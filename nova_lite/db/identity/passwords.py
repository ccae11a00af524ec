# SPDX-License-Identifier: Apache-2.0
"""Password hashes of users: scrypt, with its parameters and salt in the text."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import threading

from nova_lite import errors

# RFC 7914 with the parameters that OWASP's cheat sheet gives for 16 MiB: 50 ms on the cores that were measured.
_N, _R, _P = 2**14, 8, 1
_MEMORY = 64 * 1024**2
# Concurrent logins must not take 16 MiB each and all cores, nor all threads of a server that does not bound them itself.
_AT_ONCE, _WAITING, _WAIT_S = 2, 16, 10.0
_CONCURRENT = threading.BoundedSemaphore(_AT_ONCE)
_PLACES = threading.BoundedSemaphore(_AT_ONCE + _WAITING)


def hash_password(password: str) -> str:
    """`scrypt$n$r$p$salt$hash`, the last two in base64."""
    salt = os.urandom(16)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(_scrypt(password, salt, _N, _R, _P))))


def verify(password: str, password_hash: str | None) -> bool:
    """Whether the password is right. No hash (no such user) takes as long as a wrong password."""
    scheme, *fields = (password_hash or _NOBODY).split("$")
    if scheme != "scrypt" or len(fields) != 5:
        scheme, *fields = _NOBODY.split("$")
    n, r, p = (int(field) for field in fields[:3])
    salt, expected = (base64.b64decode(field) for field in fields[3:])
    is_same = hmac.compare_digest(_scrypt(password, salt, n, r, p), expected)
    return is_same and bool(password_hash)


def mark(password_hash: str) -> str:
    """A short text that changes when the password is set anew; tokens carry it. It reveals nothing about the hash."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """:raises errors.TooBusy: too many passwords are being checked."""
    if not _PLACES.acquire(blocking=False):
        raise _too_busy()
    try:
        if not _CONCURRENT.acquire(timeout=_WAIT_S):
            raise _too_busy()
        try:
            return hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY, dklen=32)
        finally:
            _CONCURRENT.release()
    finally:
        _PLACES.release()


def _too_busy() -> errors.TooBusy:
    return errors.TooBusy(reason="Too many passwords are being checked; try again shortly.")


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


# An unknown user's password is checked against this; nobody can find a password that hashes to zeros.
_NOBODY = "$".join(("scrypt", str(_N), str(_R), str(_P), _text(bytes(16)), _text(bytes(32))))
