"""Videos to features, once.

The rooms, from the ground up; each imports only those before it (import-linter holds the order):

    video       one decode pass: times, damage, colours, chunks
    encoders    chunks to features: CLIP, SigLIP, VideoMAE, SlowFast, natural-scene statistics
    location    where a video's bytes lie: a file, a URL, a stretch of a tar; whether they were replaced
    workers     decode workers: processes, the memory that they share, messages
    run         one process's share: decode, encode in batches, record in the store
    executors   who runs: workers that lease lots; one process, one a device, a Ray cluster
    job         which videos, what it will take, how it went

Meets train/ in the store alone: never imports it.
"""
