"""Chunks scored beyond one machine: an engine schedules, ours only computes and commits them."""
