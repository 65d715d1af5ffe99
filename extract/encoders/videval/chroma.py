"""Natural-scene statistics of colour: FRIQUEE's of the chroma map and of the short-wave cones' response.

Ghadiyaram and Bovik, "Perceptual quality prediction on authentically distorted images using a bag of
features approach", Journal of Vision 2017; those that VIDEVAL (Tu et al., IEEE TIP 2021) keeps.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.colour import chroma_and_short_wave
from extract.encoders.videval.filters import (
    difference_of_gaussians,
    laplacian,
    local_deviation,
    neighbour_product,
    normalised,
)
from extract.encoders.videval.fits import asymmetric_fit, kurtosis, root_mean_square, skewness
from extract.encoders.videval.resize import imresize

Plane = NDArray[np.float64]

NAMES = ("fc4", "fc7", "fc15", "fc24", "fc26", "fc47", "fc60", "fc62", "fc72", "fc73", "fc79", "lms52")


def chroma_features(y: Plane, u: Plane, v: Plane) -> Plane:
    """[12], NAMES, of a frame's planes [H, W], 0..255.

    NaN is fc15 where no product of neighbours is negative, and a skewness or kurtosis of equal values.
    fc47 is taken from the whole frame, as in the published feature matrices (the published program
    halves the frame first).
    """
    chroma, short_wave = chroma_and_short_wave(y, u, v)
    coefficients, deviation = normalised(chroma)
    below = neighbour_product(coefficients, 1, 0)
    half_deviation = local_deviation(imresize(chroma, 0.5))
    edges, _ = normalised(difference_of_gaussians(deviation))
    cones, _ = normalised(local_deviation(imresize(short_wave, 0.5)))
    return np.array(
        [
            asymmetric_fit(neighbour_product(coefficients, 0, 1)).right ** 2,
            asymmetric_fit(below).shape,
            asymmetric_fit(neighbour_product(coefficients, 1, 1)).left ** 2,
            kurtosis(neighbour_product(coefficients, -1, 1)),
            skewness(deviation),
            kurtosis(below),
            kurtosis(half_deviation),
            half_deviation.mean(),
            root_mean_square(edges),
            skewness(edges),
            skewness(laplacian(chroma)),
            root_mean_square(cones),
        ]
    )
