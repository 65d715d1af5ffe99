"""Opinion scores and the videos that they belong to: label files, names, scales, splits.

    tables      any file as one table of texts
    files       a table's rows as labels
    resolve     which label belongs to which video; `folder`: the videos of a folder
    mos         the dataset's scale and 0–100
    splits      seeded splits; `digest`: what a run notes of its labels
    dataset     all of it as a dataset's settings say

Knows nothing of features: must not import any other room of store/.
"""
