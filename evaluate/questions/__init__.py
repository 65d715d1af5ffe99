"""Benchmarks of questions about videos: reading them, asking them, accuracy by category, judged answers."""
