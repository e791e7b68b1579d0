"""Files that come with the library: manifests, report templates, the suites, a recorded run.

In a checkout they lie beside the package, in a wheel inside it (`_bundled`, see `pyproject.toml`); both have the same
layout.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent
_BUNDLED = _PACKAGE / "_bundled"

INSTALLED = _BUNDLED.is_dir()
"""Whether this is an installed wheel, not a checkout."""

ROOT = _BUNDLED if INSTALLED else _PACKAGE.parent
"""The folder with `suites`, `fixtures`, `manifests`, `reports`, `conftest.py` and `pyproject.toml`."""

MANIFESTS = ROOT / "manifests"
RECORDED_RUN = ROOT / "tests" / "data" / "recorded-run.tar.xz"
"""The recorded run that `gpuassay demo` judges."""

IMPORT_PATH = _PACKAGE.parent
"""The folder from which a process of ours can import the package."""
