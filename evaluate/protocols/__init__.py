"""Repeated training and testing by a protocol."""
