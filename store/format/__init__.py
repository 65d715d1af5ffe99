"""The feature store's own words: markers, descriptions, keys, names and number formats (format version 1).

Says what is written, never how or where; imports durable/ alone.
"""
