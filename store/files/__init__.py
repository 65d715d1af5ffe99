"""Where the files of a feature set are, and how a part gets there: one interface, a folder behind it here.

`store.remote` has object storage behind the same interface. Knows markers' names, never what is in a video.
"""
