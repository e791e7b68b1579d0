from fixtures.arms import arms
from fixtures.runs import store_runs

__all__ = ["arms", "store_runs"]
