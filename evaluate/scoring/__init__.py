"""What a trained run predicts from stored features."""
