"""Sub-commands of `gpuassay`, one module each: `add(subparsers)` declares it and names the function that runs it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]  # pyright: ignore[reportPrivateUsage]
    """What `ArgumentParser.add_subparsers` returns; argparse gives it no public name."""
