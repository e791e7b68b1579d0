"""The paper's Table 3 configurations, as YAML in `manifests/kueue/table3`."""

from __future__ import annotations

from functools import cache

import yaml

from gpuassay import resources
from gpuassay.manifest import Manifest

FOLDER = resources.MANIFESTS / "kueue" / "table3"


@cache
def table3_objects(configuration: str) -> tuple[Manifest, ...]:
    """The objects of a configuration's file; `mixes.configuration` gives them names of an arm's own."""
    return tuple(yaml.safe_load_all((FOLDER / f"{configuration}.yaml").read_text()))
