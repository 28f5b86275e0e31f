"""Measurements of speed and memory: called by hand, never by the tests."""
