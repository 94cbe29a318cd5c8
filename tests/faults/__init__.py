"""Faults: real processes, real kills."""
