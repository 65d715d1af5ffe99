"""Opinion scores and the videos that they belong to: label files, names, scales, splits.

    tables      any file as one table of texts; `entries`: objects in JSON
    columns     which column says what
    files       a table's rows as labels; the dataset's scale and 0–100
    merging     rows as one label for each video: several raters averaged
    resolve     which label belongs to which video; `folder`: the videos of a folder
    grouping    which content a video is of
    splits      seeded splits; `folds`: published ones
    dataset     all of it as a dataset's settings say, and what a run notes of it
    records     any file as records with their lines; `conversations`: turns about media; `shown`: a dataset's

Knows nothing of features: must not import any other room of store/.
"""
