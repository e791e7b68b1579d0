"""Cache-aware LLM routing: llm-d's endpoint picker, simulated model servers, and what they need, as child processes.

Begin at `gpuassay.systems.llmd.component.deployment.routing`. Nothing is imported here: the programs of `serve` are
started often and must not load a Kubernetes client each time.
"""
