"""What is asked of the system: objects and job mixes, seeded and pure.

Example:
    from gpuassay.workloads import core
    core.job("mine", "namespace", "queue", pods=2)
"""
