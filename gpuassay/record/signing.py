"""A signature of a run that anybody can verify offline: OpenSSH's format (`ssh-keygen -Y`), Ed25519 keys.

The format is OpenSSH's PROTOCOL.sshsig. What is signed is a list of the run's files with their sha256 (`LIST`), so
that a file that was changed, added or taken away can be named.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

NAMESPACE = "gpuassay-run"
"""What the signature is for: `ssh-keygen -Y verify -n gpuassay-run` wants the same."""
_MAGIC, _VERSION, _HASH, _KIND = b"SSHSIG", 1, "sha512", b"ssh-ed25519"
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"


class SignatureError(Exception):
    """A key or a signature cannot be used, or does not fit; the message is one line and holds no secret."""

    exit_code = 2
    """Of a command that ends with it: the input is the user's to mend."""


def private_key(place: Path) -> Ed25519PrivateKey:
    """The key in a file as `ssh-keygen -t ed25519` writes it.

    Raises:
        SignatureError: it is no such key, or a protected one, which ssh-keygen itself can use.
        OSError: it cannot be read.
    """
    hint = "make one with `ssh-keygen -t ed25519`"
    try:
        key = load_ssh_private_key(place.read_bytes(), None)
    except TypeError:
        raise SignatureError(
            f"{place}: the key is protected by a passphrase: leave --key out, and ssh-keygen signs the list with it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureError(f"{place}: no private key of OpenSSH; {hint}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SignatureError(f"{place}: no Ed25519 key; {hint}")
    return key


def public_key(place: Path) -> Ed25519PublicKey:
    """The key in a file such as `id_ed25519.pub`.

    Raises:
        SignatureError: it is none.
        OSError: it cannot be read.
    """
    try:
        key = load_ssh_public_key(place.read_bytes())
    except (ValueError, UnsupportedAlgorithm):
        raise SignatureError(f"{place}: no public key of OpenSSH; it begins with ssh-ed25519") from None
    if not isinstance(key, Ed25519PublicKey):
        raise SignatureError(f"{place}: no Ed25519 key")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """As `ssh-keygen -l` shows it: `SHA256:...`."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(_blob(key)).digest()).decode().rstrip("=")


def sign(message: bytes, key: Ed25519PrivateKey) -> str:
    """The armoured signature of a message."""
    made = _string(_KIND) + _string(key.sign(_to_sign(message)))
    parts = [_blob(key.public_key()), NAMESPACE.encode(), b"", _HASH.encode(), made]
    body = base64.b64encode(_MAGIC + struct.pack(">I", _VERSION) + b"".join(map(_string, parts))).decode()
    lines = [body[at : at + 70] for at in range(0, len(body), 70)]
    return "\n".join([_BEGIN, *lines, _END]) + "\n"


def signer(message: bytes, signature: str, where: str) -> Ed25519PublicKey:
    """Whose signature of a message it is.

    Raises:
        SignatureError: it is none, or of another message; `where` is named.
    """
    broken = SignatureError(f"{where}: no signature as OpenSSH writes it (truncated?)")
    lines = [line.strip() for line in signature.strip().splitlines()]
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise broken
    try:
        data = base64.b64decode("".join(lines[1:-1]), validate=True)
        if data[:6] != _MAGIC or struct.unpack(">I", data[6:10])[0] != _VERSION:
            raise broken
        blob, namespace, _, digest, made = _strings(data[10:], 5)
        kind, raw = _strings(blob, 2)
        made_kind, made_raw = _strings(made, 2)
        if kind != _KIND or made_kind != _KIND:
            raise SignatureError(f"{where}: signed with a key of another kind than Ed25519")
        key = Ed25519PublicKey.from_public_bytes(raw)
    except (ValueError, struct.error):
        raise broken from None
    if (namespace, digest) != (NAMESPACE.encode(), _HASH.encode()):
        raise SignatureError(
            f"{where}: a signature for another purpose than {NAMESPACE}, or of another hash than {_HASH}"
        )
    try:
        key.verify(made_raw, _to_sign(message))
    except InvalidSignature:
        raise SignatureError(f"{where}: the signature does not fit: what was signed has been changed") from None
    return key


def _to_sign(message: bytes) -> bytes:
    parts = [NAMESPACE.encode(), b"", _HASH.encode(), hashlib.sha512(message).digest()]
    return _MAGIC + b"".join(map(_string, parts))


def _blob(key: Ed25519PublicKey) -> bytes:
    return base64.b64decode(key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1])


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _strings(data: bytes, count: int) -> list[bytes]:
    """The first strings in a message of SSH. ValueError where it is cut."""
    found: list[bytes] = []
    for _ in range(count):
        (length,) = struct.unpack(">I", data[:4])
        if len(data) < 4 + length:
            raise ValueError("cut")
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found
