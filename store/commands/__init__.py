"""`python -m store`: thin commands over the other rooms."""
