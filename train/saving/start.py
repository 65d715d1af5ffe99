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
    if origin.settings.pipeline.members != pipeline.members:
        raise RunError(
            f"{place} has {origin.settings.pipeline.members} members (pipelines.NAME.members), which"
            f" {pipeline.name} with {pipeline.members} cannot start from: expected as many"
        )
    identity = origin.decoder
    if identity is not None and (checkpoint / DECODER).is_dir() and not pipeline.trains("decoder"):
        identity = {**identity, "weights": weights_digest(checkpoint / DECODER)}
    check_decoder(checkpoint, pipeline, identity)
    theirs = origin.settings.pipeline
    for name in (name for name in pipeline.branches if name in theirs.branches):
        own, other = pipeline.branches[name], theirs.branches[name]
        keys = features[own.encoder].key, origin.features[other.encoder].key
        if (own.encoder != other.encoder and keys[0] != keys[1]) or own.stream != other.stream:
            raise RunError(
                f"{place} has a branch {name} of other features ({other.encoder}.{other.stream}) than"
                f" {pipeline.name} ({own.encoder}.{own.stream}), for which its projector means nothing: give"
                " the branch another name, or the same features"
            )
    parts = [(*each.tasks, *each.branches) for each in (theirs, pipeline)]
    if pipeline.head == "regression" and parts[0] != parts[1]:
        raise RunError(
            f"{place} has a regression head for {', '.join(parts[0])}, which {pipeline.name} cannot take for"
            f" {', '.join(parts[1])}: expected the same tasks and branches in the same order"
        )
    shared = sorted(origin.features.keys() & features.keys())
    origin.check_features(checkpoint, {encoder: features[encoder].specification for encoder in shared})
    digests = "".join(f"{name} {digest}\n" for name, digest in sorted(read_digests(checkpoint).items()))
    return Start(
        pipeline=origin.settings.pipeline.name,
        datasets=origin.seen,
        weights=f"sha256:{hashlib.sha256(digests.encode()).hexdigest()}",
    )
