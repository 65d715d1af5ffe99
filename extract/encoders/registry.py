"""From settings to encoders."""

from config.schema import EncoderSettings
from extract.encoders.base import Encoder
from extract.errors import EncoderError


def build_encoder(settings: EncoderSettings, device: str = "cpu") -> Encoder:
    """The encoder of these settings, with its weights loaded on the device. Raises EncoderError.

    Each kind is imported only where it is used: those with a model bring large libraries along.
    """
    if settings.kind in ("clip", "siglip"):
        from extract.encoders.vit.key_frame import ClipEncoder, SiglipEncoder

        return (ClipEncoder if settings.kind == "clip" else SiglipEncoder)(settings, device)
    if settings.kind == "slowfast":
        from extract.encoders.slowfast.encoders import MOTION, MotionEncoder, SlowFastEncoder

        return (MotionEncoder if MOTION in (settings.streams or ()) else SlowFastEncoder)(settings, device)
    if settings.kind == "videomae":
        from extract.encoders.vit.videomae import VideoMaeEncoder

        return VideoMaeEncoder(settings, device)
    if settings.kind == "nss":
        from extract.encoders.nss.encoder import NssEncoder

        return NssEncoder(settings)
    if settings.kind == "videval":
        from extract.encoders.videval.encoder import VidevalEncoder

        return VidevalEncoder(settings)
    raise EncoderError(
        f"encoders.{settings.name} is external: its features are imported with `python -m store import`, "
        "not extracted"
    )
