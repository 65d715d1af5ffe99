"""One process's share of an extraction: decode, encode in batches across videos, record in the store."""
