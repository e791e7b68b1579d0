"""A system without validation, seen from outside.

The gates cannot be taken away from one scenario alone. What their absence looks like can be shown: the object that
should have been refused is stored. So a bad object carries what would make it acceptable, and the mutant applies it.
"""

from __future__ import annotations

import json

from gpuassay import labels
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
