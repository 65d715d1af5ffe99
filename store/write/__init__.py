"""From arrays to a committed part: checked, quantised where asked, written, synced, made visible.

Must not know how parts are read, nor where a feature set is: it is handed a Destination.
"""
