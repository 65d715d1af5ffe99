"""A run's folder and its checkpoints: what they say, how they are written, read and refused."""
