"""Train rankers and export them. Needs the `train` extra; nothing here is imported by serving."""
