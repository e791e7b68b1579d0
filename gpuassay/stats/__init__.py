"""Ratios, intervals and three-valued verdicts over run-level numbers.

Example:
    from gpuassay.stats.quantiles import quantile
    quantile([1.0, 2.0, 3.0], 0.5)
"""
