"""What one luma picture shows of blur, noise, compression and exposure."""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft2
from scipy.ndimage import correlate1d, uniform_filter1d

from extract.encoders.nss.statistics import (
    TILE,
    Features,
    Plane,
    half,
    large_enough,
    log_of,
    natural_scene_features,
    normalised,
)

OCTAVES = 4
SPECTRUM_TILE = 64
SPECTRUM_BANDS = 8
_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_BAND_FLOOR = 0.01
_EDGE_POINTS = 2000
_EDGE_REACH = 8


def spatial_features(frames: Mapping[str, NDArray[np.uint8]]) -> Features:
    """Statistics of the first of the `key` frames, luma planes [2, H, W], by name."""
    luma = frames["key"][0]
    plane = large_enough(luma)
    levels = pyramid(plane)
    features: Features = {}
    for scale, level in enumerate(levels[:3]):
        coefficients, spread = normalised(level)
        features |= natural_scene_features(coefficients, f"nss{scale}")
        for share in (0.1, 0.5, 0.9, 0.99):
            features[f"nss{scale}_spread_q{share}"] = log_of(float(np.quantile(spread[::2, ::2], share)), 0.1)
        features[f"reblur{scale}"] = reblur(level)
    features |= octave_features(levels) | edge_features(plane) | spectrum_features(plane)
    features |= compression_features(plane) | noise_features(plane) | exposure_features(plane)
    height, width = luma.shape
    features["log_lines"] = float(np.log2(min(height, width)))
    features["log_aspect"] = float(np.log2(width / height))
    return features


def pyramid(plane: Plane) -> list[Plane]:
    """The picture and its halvings, OCTAVES in all; sides of the first must be at least 2 * TILE."""
    levels = [plane]
    while len(levels) < OCTAVES:
        levels.append(half(levels[-1]))
    return levels


def octave_features(levels: list[Plane]) -> Features:
    """Energy in each octave, tile by tile, and how it falls from octave to octave: the mark of blur.

    The ratios are taken within tiles, so that they do not depend on how much of the picture has
    detail or contrast; over tiles, their upper quantiles tell of the part that is in focus.
    """
    energies = tile_energies(levels)  # [tiles, OCTAVES]
    features: Features = {}
    logs = np.log(energies + _BAND_FLOOR)
    floors = np.quantile(energies, 0.1, axis=0)
    peaks = np.quantile(energies, 0.95, axis=0)
    detailed = energies[:, 1:3].sum(axis=1)
    detailed_tiles = detailed >= np.quantile(detailed, 0.75)
    for octave in range(OCTAVES):
        for share in (0.1, 0.5, 0.9):
            features[f"octave{octave}_q{share}"] = float(np.quantile(logs[:, octave], share))
        features[f"octave{octave}_range"] = log_of(peaks[octave], _BAND_FLOOR) - log_of(
            floors[octave], _BAND_FLOOR
        )
    for octave in range(OCTAVES - 1):
        fall = logs[:, octave] - logs[:, octave + 1]
        for share in (0.1, 0.5, 0.9, 0.98):
            features[f"fall{octave}_q{share}"] = float(np.quantile(fall, share))
        features[f"fall{octave}_detailed"] = float(np.median(fall[detailed_tiles]))
        features[f"fall{octave}_detailed_best"] = float(np.quantile(fall[detailed_tiles], 0.9))
        above = np.maximum(peaks[octave : octave + 2] - floors[octave : octave + 2], 0)
        features[f"fall{octave}_above_noise"] = log_of(above[0], _BAND_FLOOR) - log_of(above[1], _BAND_FLOOR)
    # How the spectrum bends: a lens's or an encoder's cut-off, as against a scene's own even slope.
    bend = 2 * logs[:, 1] - logs[:, 0] - logs[:, 2]
    features["bend_detailed"] = float(np.median(bend[detailed_tiles]))
    features["bend_q0.5"] = float(np.median(bend))
    return features


def tile_energies(levels: list[Plane]) -> NDArray[np.float32]:
    """[tiles, OCTAVES]: mean square of the highest octave of every level in the same tile of the picture."""
    rows, columns = (side // TILE for side in levels[0].shape)
    energies = []
    for octave, level in enumerate(levels):
        smooth = correlate1d(correlate1d(level, _BINOMIAL, axis=0), _BINOMIAL, axis=1)
        size = TILE >> octave
        band = (level - smooth)[: rows * size, : columns * size]
        energies.append(np.square(band).reshape(rows, size, columns, size).mean(axis=(1, 3)).ravel())
    return np.stack(energies, axis=1)


def edge_features(plane: Plane) -> Features:
    """How steep the strongest edges are: steps across 2 pixels against those across 4, 8 and 16.

    A ratio of steps depends neither on the contrast of the edges nor on how many there are.
    """
    steps = np.concatenate([_edge_steps(plane), _edge_steps(plane.T)])  # [points, 4]: reach 1, 2, 4, 8
    means = np.maximum(steps.mean(axis=0), 0)
    sharpness = (steps[:, 0] + 0.5) / (np.maximum(steps[:, 2], 0) + 1.0)
    features = {
        f"edge_{near}_{far}": log_of(float(means[i]), 0.5) - log_of(float(means[i + 1]), 0.5)
        for i, (near, far) in enumerate(((1, 2), (2, 4), (4, 8)))
    }
    features["edge_height"] = log_of(float(means[2]), 0.5)
    for share in (0.25, 0.5, 0.75, 0.95):
        features[f"edge_sharpness_q{share}"] = float(
            np.log(np.clip(np.quantile(sharpness, share), 0.02, 2.0))
        )
    return features


def _edge_steps(plane: Plane) -> NDArray[np.float32]:
    """[points, 4]: signed steps along the rows, across the pixels of strongest smoothed gradient."""
    smooth = correlate1d(correlate1d(plane, _BINOMIAL, axis=0), _BINOMIAL, axis=1)
    inner = smooth[:, _EDGE_REACH:-_EDGE_REACH]
    gradient = smooth[:, _EDGE_REACH + 1 : -_EDGE_REACH + 1] - smooth[:, _EDGE_REACH - 1 : -_EDGE_REACH - 1]
    strength = np.abs(gradient)
    count = min(_EDGE_POINTS, max(16, inner.size // 100))
    # Of the negative: a partition from below takes far longer where much of the picture is flat.
    points = np.argpartition(-strength.ravel(), count - 1)[:count]
    rows, columns = np.divmod(points, inner.shape[1])
    columns += _EDGE_REACH
    sign = np.sign(gradient.ravel()[points])
    reaches = (1, 2, 4, 8)
    steps = [(plane[rows, columns + r] - plane[rows, columns - r]) * sign for r in reaches]
    return np.stack(steps, axis=1)


def reblur(plane: Plane) -> float:
    """Crete et al. 2007: how little of the variation between neighbours a strong blur takes away, 0 to 1."""
    shares = []
    for axis in (0, 1):
        variation = np.abs(np.diff(plane, axis=axis))
        after = np.abs(np.diff(uniform_filter1d(plane, 9, axis=axis), axis=axis))
        lost = float(np.maximum(variation - after, 0).sum())
        shares.append(1 - (lost + 1e-3) / (float(variation.sum()) + 1e-3))
    return max(shares)


def spectrum_features(plane: Plane) -> Features:
    """Power in rings of the tiles' spectra, relative to the mean ring; its slope; across against along."""
    rows, columns = (side // SPECTRUM_TILE for side in plane.shape)
    tiles = plane[: rows * SPECTRUM_TILE, : columns * SPECTRUM_TILE]
    tiles = tiles.reshape(rows, SPECTRUM_TILE, columns, SPECTRUM_TILE).swapaxes(1, 2)
    tiles = tiles.reshape(-1, SPECTRUM_TILE, SPECTRUM_TILE)  # [tiles, 64, 64]
    tiles = (tiles - tiles.mean(axis=(1, 2), keepdims=True)) * _HANN
    power = np.square(np.abs(rfft2(tiles))).reshape(len(tiles), -1)  # [tiles, 64 * 33]
    rings = np.log(power @ _RINGS + 1.0)  # [tiles, SPECTRUM_BANDS]
    total = np.log(power.mean(axis=0) @ _RINGS + 1.0)
    features = {f"ring{i}": float(value) for i, value in enumerate(total - total.mean())}
    best = np.quantile(rings - rings[:, 1:3].mean(axis=1, keepdims=True), 0.9, axis=0)
    for i in range(2, SPECTRUM_BANDS):
        features[f"ring{i}_best"] = float(best[i])
    flattest = rings[np.argsort(rings.sum(axis=1))[: max(1, len(rings) // 5)]]
    for i in (3, 5, 7):
        features[f"ring{i}_flattest"] = float(flattest[:, i].mean())
    features["slope"] = float(np.polyfit(_RING_LOGS, total, 1)[0])
    along, across = (float(np.log(power.mean(axis=0) @ side + 1.0)) for side in (_ALONG, _ACROSS))
    features["across_along"] = across - along
    return features


def _rings() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    down = np.abs(np.fft.fftfreq(SPECTRUM_TILE))[:, None]
    right = np.fft.rfftfreq(SPECTRUM_TILE)[None, :]
    radius = np.hypot(down, right)
    edges = np.linspace(1.5 / SPECTRUM_TILE, 0.5, SPECTRUM_BANDS + 1)
    weights = [((radius >= low) & (radius < high)).ravel() for low, high in pairwise(edges)]
    weights += [((right > 2 * down) & (right > 0.15)).ravel(), ((down > 2 * right) & (down > 0.15)).ravel()]
    shares = np.stack([weight / weight.sum() for weight in weights], axis=1).astype(np.float32)
    return shares[:, :SPECTRUM_BANDS], shares[:, SPECTRUM_BANDS], shares[:, SPECTRUM_BANDS + 1]


_RINGS, _ACROSS, _ALONG = _rings()
_RING_LOGS = np.log((np.arange(SPECTRUM_BANDS) + 0.5) / SPECTRUM_BANDS)
_HANN = np.outer(np.hanning(SPECTRUM_TILE), np.hanning(SPECTRUM_TILE)).astype(np.float32)


def compression_features(plane: Plane) -> Features:
    """Steps on the 8x8 grid against those off it, and blocks from which an encoder took all detail."""
    features: Features = {}
    for name, luma in (("rows", plane.T), ("columns", plane)):
        steps = np.abs(np.diff(luma, axis=1)).mean(axis=0)
        steps = steps[: len(steps) // 8 * 8].reshape(-1, 8).mean(axis=0)  # [8]: by place in the block
        features[f"grid_{name}"] = log_of(float(steps[7]), 0.05) - log_of(float(np.median(steps)), 0.05)
    rows, columns = (side // 8 for side in plane.shape)
    blocks = plane[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8)
    deviation = blocks.std(axis=(1, 3))
    for limit in (0.5, 1.0, 2.0, 4.0):
        features[f"flat_blocks_{limit}"] = float((deviation < limit).mean()) ** 0.5
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        features[f"block_deviation_q{share}"] = log_of(float(np.quantile(deviation, share)), 0.1)
    return features


def noise_features(plane: Plane) -> Features:
    """Immerkaer's noise estimate (1996) over all, and in the flattest tiles, where little else is."""
    kernel = np.array([1, -2, 1], np.float32)
    response = (
        np.abs(correlate1d(correlate1d(plane, kernel, axis=0), kernel, axis=1)) * np.sqrt(np.pi / 2) / 6
    )
    rows, columns = (side // 16 for side in plane.shape)
    tiles = response[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).mean(axis=(1, 3)).ravel()
    quantiles = np.quantile(tiles, (0.05, 0.2, 0.5, 0.95))
    features = {
        f"noise_q{share}": log_of(float(value), 0.05)
        for share, value in zip((0.05, 0.2, 0.5, 0.95), quantiles, strict=True)
    }
    features["noise_evenness"] = features["noise_q0.2"] - features["noise_q0.95"]
    return features


def exposure_features(plane: Plane) -> Features:
    """Brightness, contrast, and what is cut off at either end."""
    low, dark, middle, bright, high = np.quantile(plane, (0.01, 0.1, 0.5, 0.9, 0.99)) / 255
    return {
        "mean": float(plane.mean()) / 255,
        "deviation": log_of(float(plane.std()), 1.0),
        "darkest": float(low),
        "middle": float(middle),
        "brightest": float(high),
        "contrast": float(np.log(bright - dark + 0.02)),
        "crushed": float((plane < 4).mean()) ** 0.5,
        "clipped": float((plane > 251).mean()) ** 0.5,
    }
