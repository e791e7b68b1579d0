"""Configurations of the endpoint picker: the files of `manifests/llmd`, with names and addresses filled in.

The files are what a user would put into a ConfigMap. Nothing but their placeholders is replaced here; who wants another
configuration (a weight, a broken one) changes the parsed data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from string import Template
from typing import Any

import yaml

from gpuassay import resources
from gpuassay.cluster.errors import ClusterError

FOLDER = resources.MANIFESTS / "llmd"

PRECISE = ("precise", "precise-no-speculation", "precise-load")
"""Profiles that read KV-cache events and so need the tokenizer and a probe that events flow."""

PREFILL_DECODE = "prefill-decode"
"""The profile whose model servers are either prefill or decode servers."""

ROUND_ROBIN = "round-robin"
"""The arm without an endpoint picker: the gateway alone, in turn."""

BUILT_IN = "built-in"
"""The rule of a picker that reads no configuration."""

_KIND = "kind: EndpointPickerConfig"

Change = Callable[[dict[str, Any]], None]
"""Alters a parsed configuration in place, for a test that needs another one."""


def names() -> list[str]:
    """The profiles there are; the folder holds other objects, too."""
    return sorted(file.stem for file in FOLDER.glob("*.yaml") if _KIND in file.read_text().splitlines())


def text(profile: str) -> str:
    """A profile as it is written, with placeholders.

    Raises:
        ClusterError: there is none of this name.
    """
    try:
        return (FOLDER / f"{profile}.yaml").read_text()
    except FileNotFoundError:
        raise ClusterError(
            f"no endpoint-picker profile is called {profile!r}; there are {', '.join(names())}"
        ) from None


def configuration(profile: str, places: Mapping[str, str], change: Change | None = None) -> dict[str, Any]:
    """A profile with its placeholders filled in, then changed.

    Args:
        profile: file name in `manifests/llmd`, without its ending.
        places: MODEL (name of the served model), EVENTS (`tcp://host:port`) and TOKENIZER (`host:port`).
        change: alters the result.

    Raises:
        ClusterError: no such profile, or it has a placeholder that `places` lacks.
    """
    body = "\n".join(line for line in text(profile).splitlines() if not line.lstrip().startswith("#"))
    try:
        filled = Template(body).substitute(places)
    except KeyError as missing:
        raise ClusterError(f"endpoint-picker profile {profile!r} needs a value for ${{{missing.args[0]}}}") from None
    parsed: dict[str, Any] = yaml.safe_load(filled)
    if change is not None:
        change(parsed)
    return parsed


def plugin(configuration: dict[str, Any], kind: str) -> dict[str, Any]:
    """The entry of a plugin type, with `parameters` at least empty, to be altered in place.

    Raises:
        ClusterError: the configuration has no such plugin.
    """
    for entry in configuration["plugins"]:
        if entry["type"] == kind:
            entry.setdefault("parameters", {})
            return entry
    raise ClusterError(
        f"the configuration has no plugin {kind!r}; it has {[e['type'] for e in configuration['plugins']]}"
    )
