"""Gateways in front of model servers: Envoy with a configuration that is data."""
