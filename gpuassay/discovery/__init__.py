"""Says what a cluster is before anything is done on it; what cannot be read is said to be unknown.

`discover` describes it for people and for reports; `troubles` is the pre-flight, which names what stands in the way.
"""
