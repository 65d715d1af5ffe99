"""Decode workers: processes without torch, the memory through which frames reach the encoders, messages."""
