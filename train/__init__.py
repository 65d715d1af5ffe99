"""Stored features → projected tokens → a frozen language model's answer."""
