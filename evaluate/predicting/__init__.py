"""What a trained run says of video files: scores, curves over time, tables."""
