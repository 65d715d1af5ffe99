"""What a trained run predicts: for stored features and for files."""
