"""Behaviours that rightly stay green on something false, and why. The list is exact: what excuses nothing is told."""

from __future__ import annotations

from collections.abc import Sequence

from gpuassay.vacuity.table import Argued

ARGUED: Sequence[Argued] = ()
