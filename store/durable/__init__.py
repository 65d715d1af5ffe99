"""Files that are complete once they have their final name, and temporary ones whose owner is known.

Knows nothing of features: imports the standard library alone.
"""
