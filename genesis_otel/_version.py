"""The version of this package: one text, for whoever builds it, and for every part that tells it.

In: nothing. Out: :data:`__version__`. On failure: nothing here does anything.
"""

__version__ = "0.2.0"
