"""HTTP headers by which gateways, endpoint pickers and model servers tell of a request, in lower case."""

from __future__ import annotations

REQUEST_ID = "x-request-id"
"""Of a request: names it in the logs of everything on its way."""

DESTINATION = "x-gateway-destination-endpoint"
"""Of a request: the picker's choice, `address:port` (EPP protocol); also a metadata key."""

SUBSET = "x-gateway-destination-endpoint-subset"
"""Metadata key of the endpoints among which a gateway allows the picker to choose (EPP protocol)."""

DESTINATION_SERVED = "x-gateway-destination-endpoint-served"
"""Metadata key of the endpoint that has served, as the gateway tells the picker (EPP protocol)."""

ASKED = "x-went-into-resp-headers"
"""Of an answer: "true" where llm-d's picker v0.7.1 or the inference extension's v1.5.0 was asked; status 200 does not
tell."""

SERVED = "x-conformance-test-served-endpoint"
"""Of an answer: which endpoint the gateway says has served, as the picker's test plugin repeats it."""

POD = "x-inference-pod"
"""Of an answer: the model server's Pod."""

PORT = "x-inference-port"
"""Of an answer: port of that Pod."""

NAMESPACE = "x-inference-namespace"
"""Of an answer: namespace of that Pod."""
