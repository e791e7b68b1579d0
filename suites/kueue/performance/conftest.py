from fixtures.arms import arms

__all__ = ["arms"]
