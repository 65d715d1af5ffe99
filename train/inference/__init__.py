"""Reading a model's answers about a video: probabilities, text, predictions."""
