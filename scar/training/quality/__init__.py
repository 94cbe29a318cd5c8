"""The quality classifier: its objectives, its data, its loss."""
