"""How the bytes of a part lie on the disk: one interface, with Zarr and HDF5 behind it.

Writes bodies and says where items lie; knows nothing of writers, readers or feature sets.
"""
