"""Prompts and their tokens, headers of requests; pure."""
