"""One decode pass over a video: presentation times, damage, colours and sizes, chunks.

Knows nothing of models or of the store; PyAV is imported here alone.
"""
