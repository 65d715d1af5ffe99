"""Object storage behind a URL, through fsspec: what can be done there, and what is in the way."""
