"""What is trusted, and how we prove who we are, as one TLS context.

As Go verifies: an authority of the kubeconfig counts even where it is no root, or lacks the extensions that Python asks
for since 3.13.
"""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Generator
from contextlib import contextmanager

from gpuassay.access.errors import AccessError
from gpuassay.access.material import Pair


def context(authority: str | None, *, insecure: bool, pair: Pair | None, whose: str) -> ssl.SSLContext:
    """A client's context.

    Args:
        authority: certificates of the authorities, PEM; None: those of this machine.
        insecure: whether any server is believed.
        pair: client certificate and key.
        whose: the user, for messages.

    Raises:
        AccessError: certificate and key do not belong together, or are damaged.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if insecure:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    elif authority is None:
        made.load_default_certs()
    else:
        made.load_verify_locations(cadata=authority)
    if pair is not None:
        _present(made, pair, whose)
    return made


def _present(made: ssl.SSLContext, pair: Pair, whose: str) -> None:
    try:
        with _readable(f"{pair.certificate}\n{pair.key}\n") as name:
            made.load_cert_chain(name, password=lambda: "")
    except ssl.SSLError as e:
        if e.reason == "KEY_VALUES_MISMATCH":
            raise AccessError(f"{whose}: client-key is not the key of client-certificate") from None
        raise AccessError(f"{whose}: client-certificate or client-key is damaged") from None
    except (OSError, ValueError) as e:
        raise AccessError(f"{whose}: client-certificate or client-key cannot be used: {type(e).__name__}") from None


@contextmanager
def _readable(text: str) -> Generator[str]:
    """A file name for a moment: Python takes a key from a file only. In memory where the system can do that."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with os.fdopen(os.memfd_create("gpuassay-key"), "w") as file:
            file.write(text)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    with tempfile.NamedTemporaryFile("w", prefix="gpuassay-") as file:  # mode 0600
        file.write(text)
        file.flush()
        yield file.name
