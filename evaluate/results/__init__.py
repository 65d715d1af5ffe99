"""Predictions beside the labels they are judged by."""
