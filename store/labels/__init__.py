"""Opinion scores and the videos that they belong to: label files, names, scales, splits.

Knows nothing of features: must not import any other room of store/.
"""
