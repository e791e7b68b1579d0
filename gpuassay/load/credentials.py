"""The bearer token of whom the load is put on: from the environment, so that no plan, row or command line holds it."""

from __future__ import annotations

import os
from collections.abc import Mapping

from gpuassay.load.errors import LoadError

TOKEN = "GPUASSAY_GATEWAY_TOKEN"


def credentials(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header that carries the token; none without one.

    Raises:
        LoadError: it has characters that no header may have. It is not shown.
    """
    token = environ.get(TOKEN, "")
    if not token:
        return {}
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise LoadError(f"{TOKEN}: a bearer token has printable ASCII characters and no spaces")
    return {"authorization": f"Bearer {token}"}
