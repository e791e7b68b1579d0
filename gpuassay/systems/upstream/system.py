"""Other projects' own suites: what they need is another system's environment, so this one has none of its own."""

from __future__ import annotations

from gpuassay.system import System

SYSTEM = System(name="upstream", mutants="gpuassay.systems.upstream.mutants")
