"""The batch job as a person asks for it: which videos, what it will take, how far it is, how it went."""
