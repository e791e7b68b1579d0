"""Measurements of Kueue, judged: job runs, hand-overs, order, cycles, throughput."""
