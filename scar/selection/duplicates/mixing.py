"""Turn numbers into well-mixed ones: 64-bit MurmurHash3's last step. Numpy only."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]


def mix(values: Words) -> Words:
    """Mix every bit into every other; a bijection on 64 bits."""
    mixed = values ^ (values >> np.uint64(33))
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return mixed


def high(values: Words) -> NDArray[np.uint32]:
    """Mix, and give the upper 32 bits."""
    return (mix(values) >> np.uint64(32)).astype(np.uint32)
