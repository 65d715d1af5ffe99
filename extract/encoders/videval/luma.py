"""The numbers 1 to 31 of VIDEVAL: what a luma plane shows.

BRISQUE: Mittal, Moorthy and Bovik, "No-Reference Image Quality Assessment in the Spatial Domain", IEEE
Transactions on Image Processing, 2012. FRIQUEE: Ghadiyaram and Bovik, "Perceptual Quality Prediction on
Authentically Distorted Images Using a Bag of Features Approach", Journal of Vision, 2017.
"""

import numpy as np
from numpy.typing import NDArray

from extract.encoders.videval.bands import Plane
from extract.encoders.videval.filters import (
    difference_of_gaussians,
    laplacian,
    neighbour_product,
    normalised,
)
from extract.encoders.videval.fits import asymmetric_fit, kurtosis, root_mean_square, skewness, symmetric_fit
from extract.encoders.videval.gmlog import gm_log
from extract.encoders.videval.higrade import higrade
from extract.encoders.videval.resize import imresize

_GM_LOG_NUMBERS = np.array([2, 4, 8, 18, 20, 23, 34, 40])


def luma_features(luma: Plane) -> NDArray[np.float64]:
    """[31] of luma [H, W] in 0..255: BRISQUE [4], GM-LOG [8], HIGRADE [8] and FRIQUEE [11].

    A number that a plane does not have, such as the left deviation where no product of neighbours is
    negative, is NaN.
    """
    coefficients, deviation = normalised(luma)
    half_coefficients, half_deviation = normalised(imresize(luma, 0.5))
    along = neighbour_product(coefficients, 0, 1)
    along_fit = asymmetric_fit(along)
    down_fit = asymmetric_fit(neighbour_product(coefficients, 1, 0))
    brisque = [
        along_fit.left**2,
        down_fit.left**2,
        asymmetric_fit(neighbour_product(half_coefficients, 0, 1)).left ** 2,
        asymmetric_fit(neighbour_product(half_coefficients, 1, 1)).shape,
    ]
    friquee = [
        skewness(along),
        down_fit.mean,
        deviation.mean(),
        # Of the full size, as published: the coefficients were not made anew for the half one.
        along_fit.shape,
        half_deviation.mean(),
        skewness(half_coefficients),
        *_band_statistics(luma, deviation),
    ]
    return np.concatenate([brisque, gm_log(luma)[_GM_LOG_NUMBERS - 1], higrade(luma), friquee])


def _band_statistics(luma: Plane, deviation: Plane) -> list[float]:
    """FRIQUEE's numbers 66, 68, 70, 71 and 72: of a band of the sigma map, and of the finest of luma."""
    coefficients, spread = normalised(difference_of_gaussians(deviation))
    finest = symmetric_fit(laplacian(luma))
    return [
        root_mean_square(coefficients),
        kurtosis(coefficients),
        kurtosis(normalised(spread)[0]),
        finest.shape,
        finest.deviation,
    ]
