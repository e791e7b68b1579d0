"""The environment that children inherit."""

from __future__ import annotations

import os


def inherited() -> dict[str, str]:
    """A copy of our environment, from any thread.

    `dict(os.environ)` raises KeyError where another thread removes a variable meanwhile, as pytest does around every
    test with the name of the current one.
    """
    return {name: value for name in os.environ if (value := os.environ.get(name)) is not None}
