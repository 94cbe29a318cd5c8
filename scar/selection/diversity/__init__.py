"""What the rules of diversity compute: from arrays, each testable alone. Knows no rules.

Where embeddings decide, they do row by row in float64; matrix products in float32 only say which pairs need it. So no
result depends on the size of a block or the number of threads.
"""
