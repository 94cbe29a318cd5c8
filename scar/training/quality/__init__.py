"""The quality classifier: a cross-encoder taught by labels, grades or preferred pairs."""
