"""Cache-aware LLM routing: endpoint pickers (llm-d, Gateway API Inference Extension) and their gateways."""
