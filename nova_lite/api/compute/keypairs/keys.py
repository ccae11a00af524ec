# SPDX-License-Identifier: Apache-2.0
"""Key material of keypairs: fingerprints of imported public keys, and generated pairs."""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from nova_lite import errors

_VALID_DAYS = 3650  # of a generated certificate; Nova's, too
_PEM = serialization.Encoding.PEM
_NOT_ENCRYPTED = serialization.NoEncryption()


class Pair(NamedTuple):
    """A generated pair: OpenSSH or PEM text of both keys."""

    public_key: str
    private_key: str


def ssh_fingerprint(public_key: str) -> str:
    """MD5 of the key's blob, separated by colons (RFC 4716 section 4), as Nova shows it.

    :raises errors.BadRequest: not an OpenSSH public key.
    """
    try:
        kind, encoded = public_key.split(None, 2)[:2]
        blob = base64.b64decode(encoded, validate=True)
        # A blob begins with its type (RFC 4253 section 6.6); the library cannot load hardware keys (sk-*).
        if blob[4:4 + len(kind)] != kind.encode():
            raise ValueError("the type in the key is not the type before it")
        if not kind.startswith("sk-"):
            serialization.load_ssh_public_key(f"{kind} {encoded}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise errors.BadRequest(reason="Keypair data is invalid: failed to generate fingerprint") from error
    return _colons(hashlib.md5(blob, usedforsecurity=False).hexdigest())


def x509_fingerprint(certificate: str) -> str:
    """SHA1 of the certificate, separated by colons, as Nova shows it.

    :raises errors.BadRequest: not a PEM certificate.
    """
    try:
        parsed = x509.load_pem_x509_certificate(certificate.encode())
    except ValueError as error:
        raise errors.BadRequest(reason="Keypair data is invalid: failed to generate X509 fingerprint") from error
    return _colons(parsed.fingerprint(hashes.SHA1()).hex())  # an identifier, not a protection


def new_ssh_key(comment: str) -> Pair:
    """A new Ed25519 key in OpenSSH's formats."""
    private = ed25519.Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    secret = private.private_bytes(_PEM, serialization.PrivateFormat.OpenSSH, _NOT_ENCRYPTED)
    return Pair(f"{public.decode()} {comment}", secret.decode())


def new_certificate(user_id: str, *, now: datetime.datetime) -> Pair:
    """A new self-signed certificate for the user, for guests that use these instead of SSH keys."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:64] or "user")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now)
    builder = builder.not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = builder.add_extension(usage, critical=False).sign(private, hashes.SHA256())
    secret = private.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, _NOT_ENCRYPTED)
    return Pair(certificate.public_bytes(_PEM).decode(), secret.decode())


def _colons(digits: str) -> str:
    return ":".join(digits[index:index + 2] for index in range(0, len(digits), 2))
