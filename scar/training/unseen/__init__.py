"""Tell rows you have (seen = 1) from candidates (0): folds, out-of-fold scores, a verdict. Reads no files."""
