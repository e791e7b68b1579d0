"""A system without validation, seen from outside.

The gates cannot be taken away from one scenario alone. What their absence looks like can be shown: the object that
should have been refused is stored. So a bad object carries what would make it acceptable, and the mutant applies it.
"""

from __future__ import annotations

import json

from gpuassay import labels
from gpuassay.cluster.errors import ApiRefused
from gpuassay.manifest import Manifest, dig
from gpuassay.scenarios.mutants import mutant

ACCEPTED_AS = "gpuassay.io/accepted-as"
"""Annotation of a bad object: JSON of the labels, annotations and spec of its acceptable form."""


def with_acceptable(bad: Manifest, healthy: Manifest) -> Manifest:
    """`bad` with the note that lets the mutant `validation-missing` have it stored."""
    form: Manifest = {
        "labels": dig(healthy, "metadata", "labels", default={}),
        "annotations": dig(healthy, "metadata", "annotations", default={}),
        "spec": healthy.get("spec"),
    }
    notes = dict(dig(bad, "metadata", "annotations", default={})) | {ACCEPTED_AS: json.dumps(form)}
    return bad | {"metadata": bad["metadata"] | {"annotations": notes}}


@mutant("validation-missing", "objects that must be refused are stored")
def _validation_missing(obj: Manifest) -> None:
    metadata = obj["metadata"]
    text = dig(metadata, "annotations", ACCEPTED_AS)
    if text is None:
        return
    form = json.loads(text)
    marks = {key: value for key, value in metadata["labels"].items() if key in (labels.RUN, labels.SCENARIO)}
    metadata["labels"], metadata["annotations"] = form["labels"] | marks, form["annotations"]
    obj["spec"] = form["spec"]


HOSTILE = "gpuassay.io/hostile"
"""Annotation of an object with a hostile value."""


def is_hostile(obj: Manifest) -> bool:
    """Whether an object carries that annotation."""
    return dig(obj, "metadata", "annotations", HOSTILE) is not None


@mutant("validation-crashes", "the webhooks panic on objects with odd values")
def _validation_crashes(obj: Manifest) -> None:
    if is_hostile(obj):
        raise ApiRefused(500, "InternalError", "failed calling webhook: panic: runtime error")


@mutant("validation-mute", "refusals do not say what is wrong")
def _validation_mute(obj: Manifest) -> None:
    if is_hostile(obj):
        raise ApiRefused(422, "Invalid", "the object is invalid")
