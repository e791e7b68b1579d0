"""A package of somebody else's is for an environment of its own, not for this one."""

collect_ignore = ["foreign"]
