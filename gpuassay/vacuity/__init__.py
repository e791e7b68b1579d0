"""Verdicts that could not have been otherwise: every recording is doctored and judged again."""
