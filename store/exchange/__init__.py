"""Features in and out of the store, in the formats that other programs read and write."""
