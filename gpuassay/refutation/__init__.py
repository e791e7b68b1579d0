"""A failed assertion as a sentence: what was expected, what was seen; pytest's rendering comes after it."""

from gpuassay.refutation.compose import Told, refutation, sentence_of

__all__ = ["Told", "refutation", "sentence_of"]
