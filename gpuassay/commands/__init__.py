"""Sub-commands of `gpuassay`, one module each: `add(subparsers)` declares it and names the function that runs it."""

from __future__ import annotations

import argparse
from typing import TypeAlias

SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # pyright: ignore[reportPrivateUsage]
"""What `ArgumentParser.add_subparsers` returns. It has no public name, and only type checkers may subscript it."""
