"""Certificates, keys and tokens as a kubeconfig holds them: in place, in base64, or in a file."""

from __future__ import annotations

import base64
import binascii
import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from gpuassay.access.errors import AccessError
from gpuassay.access.kubeconfig import Chosen, Entry

_REDACTED = re.compile(r"(?:LS0t)?[<\[{(*]*(?:REDACTED|DATA[+_ -]?OMITTED|OMITTED)[>\]})*]*", re.IGNORECASE)
_CERTIFICATE = re.compile(
    r"-----BEGIN (?:TRUSTED )?CERTIFICATE-----.*?-----END (?:TRUSTED )?CERTIFICATE-----", re.DOTALL
)
_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?-----END [A-Z0-9 ]*PRIVATE KEY-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """A client certificate with its chain, and its key; PEM."""

    certificate: str
    key: str = field(repr=False)

    @property
    def expires(self) -> datetime.datetime | None:
        """When the certificate ends; None where that cannot be read."""
        try:
            return x509.load_pem_x509_certificate(self.certificate.encode()).not_valid_after_utc
        except ValueError:
            return None


def not_redacted(value: str, what: str) -> str:
    """The value.

    Raises:
        AccessError: it is what `kubectl config view` writes in a secret's place.
    """
    if _REDACTED.fullmatch(value.strip()):
        raise AccessError(f"{what} is redacted: write the kubeconfig with `kubectl config view --raw --flatten`")
    return value


def read_file(path: Path, what: str) -> str:
    """The text of a file that the kubeconfig names.

    Raises:
        AccessError: it cannot be read.
    """
    try:
        return path.read_text("utf-8-sig")
    except OSError as e:
        raise AccessError(f"{what}: {path} cannot be read: {e.strerror or type(e).__name__}") from None
    except UnicodeDecodeError:
        raise AccessError(f"{what}: {path} is no text") from None
    except ValueError:
        raise AccessError(f"{what} is no file name, it holds a null byte") from None


def _decoded(data: str, what: str) -> str:
    not_redacted(data, what)
    if "-----BEGIN" in data:
        raise AccessError(f"{what} is PEM as it stands; it must be the base64 of that, on one line")
    try:
        return base64.b64decode("".join(data.split()), validate=True).decode()
    except binascii.Error:
        raise AccessError(f"{what} is no base64 (cut off, or edited by hand?)") from None
    except UnicodeDecodeError:
        raise AccessError(f"{what} is no PEM after base64") from None


def _given(entry: Entry, data: str | None, file: str | None, name: str, whose: str) -> tuple[str, str] | None:
    """Text of a field and what to call it; None when it is not given. Data counts before the file."""
    if data:
        what = f"{name}-data of {whose}"
        return _decoded(data, what), what
    if file:
        what = f"{name} of {whose}"
        return read_file(entry.beside(not_redacted(file, what)), what), what
    return None


def certificates_in(text: str, what: str) -> str:
    """All certificates in a text, PEM.

    Raises:
        AccessError: there is none, or one is damaged.
    """
    found = "\n".join(_CERTIFICATE.findall(text))
    if not found:
        raise AccessError(f"{what} holds no certificate in PEM")
    try:
        x509.load_pem_x509_certificates(found.encode())
    except ValueError:
        raise AccessError(f"{what} holds a certificate that is damaged") from None
    return found


def key_in(text: str, what: str) -> str:
    """The private key in a text, PEM.

    Raises:
        AccessError: there is none, or it is encrypted.
    """
    found = _KEY.search(text)
    if found is None:
        raise AccessError(f"{what} holds no private key in PEM")
    if "ENCRYPTED" in found[0]:
        raise AccessError(f"{what} is encrypted; nobody can be asked for its passphrase, so decrypt it")
    return found[0]


def authority(chosen: Chosen) -> str | None:
    """Certificates of the authority that a cluster is trusted by; None: those of this machine.

    Raises:
        AccessError: they cannot be used.
    """
    cluster = chosen.cluster
    found = _given(
        chosen.cluster_entry, cluster.certificate_authority_data, cluster.certificate_authority,
        "certificate-authority", chosen.of_cluster,
    )  # fmt: skip
    return certificates_in(*found) if found else None


def client_pair(chosen: Chosen) -> Pair | None:
    """The user's client certificate and key; None without one.

    Raises:
        AccessError: one is given without the other, or cannot be used.
    """
    user, entry, whose = chosen.user, chosen.user_entry, chosen.of_user
    certificate = _given(
        entry, user.client_certificate_data, user.client_certificate, "client-certificate", whose
    )  # fmt: skip
    key = _given(entry, user.client_key_data, user.client_key, "client-key", whose)
    if certificate is None and key is None:
        return None
    if key is None:
        raise AccessError(f"{whose} has a client-certificate without client-key")
    if certificate is None:
        raise AccessError(f"{whose} has a client-key without client-certificate")
    return Pair(certificates_in(*certificate), key_in(*key))


def checked_token(token: str, what: str) -> str:
    """A bearer token without the blanks around it.

    Raises:
        AccessError: a header cannot carry it.
    """
    stripped = not_redacted(token, what).strip()
    if stripped.lower().startswith("bearer "):
        raise AccessError(f"{what} begins with the word 'Bearer'; the token alone is needed")
    if not re.fullmatch(r"[\x21-\x7e]+", stripped):
        raise AccessError(f"{what} holds characters that no token has, such as a blank or a line break")
    return stripped
