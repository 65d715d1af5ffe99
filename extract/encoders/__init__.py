"""Frozen encoders: chunks in, features out, and a specification of everything that changes the numbers.

Must not decode, write, or know where they run.
"""
