"""Puts components onto somebody's cluster, tells what is there and whose it is, and takes away what is ours.

Nothing that somebody else has installed is ever changed. What is installed here carries a run's label, stands in an
inventory on the cluster before the first object is made, and is removed by it, from any machine, after any death.
"""
