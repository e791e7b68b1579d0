"""Other load generators, run as programs: what they report becomes rows of ours, and the same judges read it."""

from __future__ import annotations

from benchmarks.adapters import guidellm, inference_perf

TOOLS = {module.TOOL.name: (module.TOOL, module.carry_out) for module in (guidellm, inference_perf)}
"""Name of a generator to what it is and to what carries out a plan with it."""
