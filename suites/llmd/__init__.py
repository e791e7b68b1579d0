"""Cache-aware routing of LLM requests: endpoint pickers, gateways, prefix caches."""
