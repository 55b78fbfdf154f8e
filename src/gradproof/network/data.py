"""Real data that comes along.

The decision behind it: a demonstration on real data must run without a network connection and without another package,
so 45 kB of handwritten digits are part of this one.
"""

import io
from importlib import resources

import numpy as np
from numpy.typing import NDArray


def load_digits() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns 1797 handwritten digits, 8 by 8 pixels.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998,
    doi:10.24432/C50P49, licence CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/). These are the examples
    of its test file, in its order, as scikit-learn's ``load_digits`` has them; the pixels, 0 to 16 in the
    source, are divided by 16.

    Returns:
        X: (64, 1797), pixels by rows of the image, from 0 to 1.
        Y: (10, 1797), one-hot.
    """
    packed = resources.files("gradproof.network").joinpath("digits.npz").read_bytes()
    with np.load(io.BytesIO(packed), allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    X = np.ascontiguousarray(images.reshape(len(images), -1).T / 16.0)
    Y = (labels == np.arange(10)[:, np.newaxis]).astype(np.float64)
    return X, Y
