"""Certificates of an embedded cluster: two authorities, one client identity per component, a token signing key.

Nothing is shared between components, so that the audit log says who wrote what. The front-proxy authority is apart from
the client authority: kube-apiserver 1.36 refuses to start when they overlap.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

IDENTITIES: dict[str, tuple[str, str | None]] = {
    "admin": ("gpuassay", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", None),
    "kube-scheduler": ("system:kube-scheduler", None),
    "kwok": ("kwok", "system:masters"),
    "kueue": ("kueue", "system:masters"),
    "recorder": ("recorder", "system:masters"),
}
"""Client identities: user name and group. The two kube components get their rights from the built-in roles."""

SERVER_NAMES = (
    "127.0.0.1", "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local", "10.0.0.1",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """Files of a certificate (or public key) and its private key, PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Pki:
    """Files of a cluster's certificates.

    Attributes:
        ca: authority of the server and of all clients.
        server: the API server's certificate.
        front_proxy_ca: authority of the aggregator's requests to extension servers.
        front_proxy: the aggregator's client certificate.
        service_accounts: key pair that signs ServiceAccount tokens (the certificate is a bare public key).
        clients: client certificates by identity.
    """

    ca: Pair
    server: Pair
    front_proxy_ca: Pair
    front_proxy: Pair
    service_accounts: Pair
    clients: dict[str, Pair]


def write_private(path: Path, content: bytes) -> Path:
    """Write a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path


def _authority(folder: Path, name: str) -> tuple[trustme.CA, Pair]:
    authority = trustme.CA(organization_name=f"gpuassay {name}")
    pair = Pair(folder / f"{name}.crt", write_private(folder / f"{name}.key", authority.private_key_pem.bytes()))
    authority.cert_pem.write_to_path(pair.certificate)
    return authority, pair


def _issue(
    authority: trustme.CA, folder: Path, name: str, names: tuple[str, ...], user: str, group: str | None
) -> Pair:
    # Go refuses the empty critical name extension that trustme writes for a certificate without names
    leaf = authority.issue_cert(*(names or (f"{name}.invalid",)), common_name=user, organization_name=group)
    certificate = folder / f"{name}.crt"
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return Pair(certificate, write_private(folder / f"{name}.key", leaf.private_key_pem.bytes()))


def _token_key(folder: Path) -> Pair:
    key = ec.generate_private_key(cast("ec.EllipticCurve", ec.SECP256R1()))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = folder / "service-accounts.pub"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Pair(public, write_private(folder / "service-accounts.key", private))


def make_pki(folder: Path) -> Pki:
    """Make all certificates of one cluster in `folder`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority, ca = _authority(folder, "ca")
    front, front_ca = _authority(folder, "front-proxy-ca")
    return Pki(
        ca=ca,
        server=_issue(authority, folder, "server", SERVER_NAMES, "kube-apiserver", None),
        front_proxy_ca=front_ca,
        front_proxy=_issue(front, folder, "front-proxy", (), "front-proxy-client", None),
        service_accounts=_token_key(folder),
        clients={name: _issue(authority, folder, name, (), user, group) for name, (user, group) in IDENTITIES.items()},
    )


def issue_client(folder: Path, name: str, user: str, group: str) -> Pair:
    """A further client certificate `name`, signed by the authority that `make_pki` left in `folder`."""
    authority = trustme.CA.from_pem((folder / "ca.crt").read_bytes(), (folder / "ca.key").read_bytes())
    return _issue(authority, folder, name, (), user, group)
