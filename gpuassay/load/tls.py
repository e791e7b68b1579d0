"""Whom TLS trusts: the system's authorities and those of SSL_CERT_FILE, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE.

Each of the variables is somebody's habit; a server that one of our clients trusts is trusted by all.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping

from gpuassay.load.credentials import CERTIFICATE
from gpuassay.load.errors import LoadError

BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def named_bundle(environ: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """The first of `BUNDLES` that is set, and its value."""
    return next(((name, value) for name in BUNDLES if (value := environ.get(name))), None)


def client_context(*, verify: bool) -> ssl.SSLContext:
    """For connections to a server whose certificate must be valid, or need not be; ours is the one of `CERTIFICATE`.

    Raises:
        LoadError: a file of authorities, or of our certificate, cannot be read.
    """
    context = ssl.create_default_context()
    if place := os.environ.get(CERTIFICATE):
        add_certificate(context, place, CERTIFICATE)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if (named := named_bundle()) is not None:
        name, place = named
        try:
            if os.path.isdir(place):
                context.load_verify_locations(capath=place)
            else:
                context.load_verify_locations(cafile=place)
        except OSError as error:  # ssl.SSLError is one
            raise LoadError(f"{name}={place}: no file of certificates: {error.strerror or error}") from None
    return context


def add_certificate(context: ssl.SSLContext, place: str, option: str) -> None:
    """Show a client's certificate, which stands with its key in one PEM file. Raises LoadError; `option` named it."""
    try:
        context.load_cert_chain(place, password=lambda: "")  # never ask at the terminal
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise LoadError(
            f"{option} {place}: no PEM file with a certificate and its key, unencrypted: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from None
