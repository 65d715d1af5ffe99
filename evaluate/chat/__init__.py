"""Talking about video files: what encoders see of them, stretches of time, questions in turns."""
