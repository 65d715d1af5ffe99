"""Predictions of any model judged by opinion scores, and several models compared."""
