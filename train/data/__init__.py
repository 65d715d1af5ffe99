"""Labelled videos with their stored features: as samples, in steps and batches, on the device.

Imports store/ and what is answered; knows no model.
"""
