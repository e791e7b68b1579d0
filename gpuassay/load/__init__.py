"""Load on an OpenAI-like server, with the generator's own error measured in the same run.

`plan` says what is asked and when, `runner.run` asks it from a process of its own, `figures` makes TTFT, ITL and the
rest of the rows, `control.control` measures the generator against a server of known timing, and `gate` decides whether
the figures may be judged. `rows`, `figures`, `gate` and `timing` are pure. See docs/load.md.

Example:
    from gpuassay.load.plan import ClosedLoop
"""
