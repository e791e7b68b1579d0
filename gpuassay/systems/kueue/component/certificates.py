"""Certificates of Kueue's webhooks, made before Kueue starts.

Kueue's certificate rotator writes the authority into two webhook configurations and five CRDs, and every CRD write
makes the API server rebuild its handlers: about six seconds. When everything is in place and acceptable to the rotator
it writes nothing. What it accepts (open-policy-agent/cert-controller, pkg/rotator): an authority that carries its own
name as DNS name, an RSA authority key in PKCS#1, a server certificate for the Service's name, both valid for three
months more.
"""

from __future__ import annotations

import base64
import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY = "kueue-ca"
ORGANIZATION = "kueue"


@dataclass(frozen=True)
class WebhookCertificates:
    """PEM texts under the names that the rotator's Secret gives them."""

    files: dict[str, bytes]

    @property
    def bundle(self) -> str:
        """The authority as `caBundle`: base64 of PEM."""
        return base64.b64encode(self.files["ca.crt"]).decode()

    def secret_data(self) -> dict[str, str]:
        """`data` of the Secret."""
        return {name: base64.b64encode(content).decode() for name, content in self.files.items()}


def _name(common_name: str) -> x509.Name:
    parts = ((NameOID.ORGANIZATION_NAME, ORGANIZATION), (NameOID.COMMON_NAME, common_name))
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def _certificate(
    subject: str, issuer: str, key: rsa.RSAPublicKey, signer: rsa.RSAPrivateKey, *, authority: bool
) -> bytes:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, key_encipherment=True, key_cert_sign=authority, crl_sign=False,
                content_commitment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())  # PKCS#1


def make_webhook_certificates(service: str, namespace: str) -> WebhookCertificates:
    """An authority and a server certificate for `service.namespace.svc`."""
    authority_key, server_key = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    host = f"{service}.{namespace}.svc"
    return WebhookCertificates(
        {
            "ca.crt": _certificate(AUTHORITY, AUTHORITY, authority_key.public_key(), authority_key, authority=True),
            "ca.key": _pem(authority_key),
            "tls.crt": _certificate(host, AUTHORITY, server_key.public_key(), authority_key, authority=False),
            "tls.key": _pem(server_key),
        }
    )
