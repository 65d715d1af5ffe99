"""From committed parts to arrays: the index over markers, and reads by position. Writes nothing."""
