"""Which rows to keep, given their scores. Loads no model library."""
