"""The same store behind a URL: object storage through fsspec, with a mirror of what is small."""
