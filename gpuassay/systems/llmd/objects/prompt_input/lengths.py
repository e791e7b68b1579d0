"""How long an answer is asked to be, under the many names and in the many shapes that programs write it in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from gpuassay.systems.llmd.objects.prompt_input.errors import BadEntry, shown

LENGTHS = (
    "max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens", "output_tokens_count",
    "output_token_count", "completion_tokens_count", "output_tokens", "output_len", "output_length",
    "expected_output_len", "expected_output_tokens", "num_output_tokens", "completion_tokens", "generated_tokens",
    "response_tokens", "n_predict",
)  # fmt: skip
"""Columns or keys that hold the wanted length of the answer in tokens; the first that says something counts. Sources:
OpenAI (both APIs), TGI, GuideLLM, vLLM's and SGLang's benchmarks, inference-perf, AIPerf, llama.cpp."""

_NESTED = ("parameters", "sampling_params", "generation_config", "generationconfig", "usage")
_MISSING = frozenset({"", "nan", "null", "none", "n/a", "<na>"})
_NUMBER = re.compile(r"\+?\d{1,12}(\.0*)?(e\+?\d{1,2})?", re.IGNORECASE)

LONGEST = 10_000_000
"""Tokens; no model answers at such length, so a larger number is something else."""


def length_of(fields: Mapping[str, Any]) -> int | None:
    """The wanted length of an answer in tokens; None if an entry tells none.

    A whole number may be written as one, as `128.0` (a column with gaps, by pandas), or as text (a CSV field).

    Raises:
        BadEntry: it is something else, or not between 1 and `LONGEST`.
    """
    joined = {str(name).replace("_", ""): value for name, value in fields.items()}  # maxTokens, in lower case
    for name in LENGTHS:
        if (found := _number(name, fields.get(name, joined.get(name.replace("_", ""))))) is not None:
            return found
    for outer in _NESTED:
        inner = fields.get(outer)
        if isinstance(inner, dict):
            named = {str(name).lower(): value for name, value in cast("dict[Any, Any]", inner).items()}
            if (found := length_of(named)) is not None:
                return found
    return None


def _number(name: str, given: object) -> int | None:
    if given is None or (isinstance(given, float) and given != given):
        return None
    if isinstance(given, str) and given.strip().lower() in _MISSING:
        return None
    wanted = -1.0
    if isinstance(given, str):
        wanted = float(given) if _NUMBER.fullmatch(given.strip()) else wanted
    elif isinstance(given, int | float) and not isinstance(given, bool):
        wanted = given
    if not 1 <= wanted <= LONGEST or wanted != int(wanted):
        raise BadEntry("", f"{name} must be a whole number of tokens above 0, at most {LONGEST:,}, not {shown(given)}")
    return int(wanted)
