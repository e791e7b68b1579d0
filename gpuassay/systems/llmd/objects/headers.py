"""HTTP headers by which gateways, endpoint pickers and model servers speak of a request."""

from __future__ import annotations

DESTINATION = "x-gateway-destination-endpoint"
"""Of a request: the picker's choice, `address:port` (EPP protocol); also a metadata key."""

ASKED = "x-went-into-resp-headers"
"""Of an answer: "true" where llm-d's picker v0.7.1 or the inference extension's v1.5.0 was asked; status 200 does not
tell."""

SERVED = "x-conformance-test-served-endpoint"
"""Of an answer: which endpoint the gateway says has served, as the picker's test plugin repeats it."""

POD = "x-inference-pod"
"""Of an answer: the model server's Pod."""

NAMESPACE = "x-inference-namespace"
"""Of an answer: namespace of that Pod."""
