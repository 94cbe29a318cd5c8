"""Nearness of embeddings: cosines, k-means, k-center, walks that keep what is far from what they kept. Numpy only.

What decides is computed row by row in float64; matrix products in float32 only say which pairs need it. So no result
depends on the size of a block or the number of threads.
"""
