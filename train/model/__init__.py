"""What computes: projectors, the frozen decoder over packed rows, the regression baseline.

Knows nothing of runs, folders, steps or optimisers.
"""
