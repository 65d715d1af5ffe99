"""Settings, errors and command-line habits shared by every package.

Nothing outside this package knows TOML.
"""
