"""What a run's encoders see of video files, whole or second by second."""
