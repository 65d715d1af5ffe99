"""What a run starts from: another run, or a published model's folder."""

import hashlib
from pathlib import Path

from config.schema import PipelineSettings
from train.errors import RunError
from train.saving.checkpoint import CONFIG, checkpoint_of
from train.saving.decoder import DECODER
from train.saving.digests import read_digests
from train.saving.identity import check_decoder, weights_digest
from train.saving.run import FeatureTie, Start, read_run


def describe_start(place: Path, pipeline: PipelineSettings, features: dict[str, FeatureTie]) -> Start:
    """What a run on these features that starts from `place` records of it.

    Raises RunError where it is no trained model, or one of another head, decoder or kind of features.
    """
    checkpoint = checkpoint_of(place)
    origin = read_run(checkpoint / CONFIG)
    if origin.settings.pipeline.head != pipeline.head:
        raise RunError(
            f"{place} has a {origin.settings.pipeline.head} head, which {pipeline.name} cannot start from:"
            f" its own is a {pipeline.head}"
        )
    identity = origin.decoder
    if identity is not None and (checkpoint / DECODER).is_dir() and not pipeline.trains("decoder"):
        identity = {**identity, "weights": weights_digest(checkpoint / DECODER)}
    check_decoder(checkpoint, pipeline, identity)
    shared = sorted(origin.features.keys() & features.keys())
    origin.check_features(checkpoint, {encoder: features[encoder].specification for encoder in shared})
    digests = "".join(f"{name} {digest}\n" for name, digest in sorted(read_digests(checkpoint).items()))
    return Start(
        pipeline=origin.settings.pipeline.name,
        datasets=origin.seen,
        weights=f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}",
    )
