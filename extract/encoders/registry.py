"""From settings to encoders."""

from config.schema import EncoderSettings
from extract.encoders.base import Encoder
from extract.errors import EncoderError


def build_encoder(settings: EncoderSettings, device: str = "cpu") -> Encoder:
    """The encoder of these settings, with its weights loaded on the device. Raises EncoderError.

    Each kind is imported only where it is used: CLIP and SlowFast bring large libraries along.
    """
    if settings.kind == "clip":
        from extract.encoders.clip import ClipEncoder

        return ClipEncoder(settings, device)
    if settings.kind == "slowfast":
        from extract.encoders.slowfast import SlowFastEncoder

        return SlowFastEncoder(settings, device)
    if settings.kind == "nss":
        from extract.encoders.nss import NssEncoder

        return NssEncoder(settings)
    raise EncoderError(
        f"encoders.{settings.name} is external: its features are imported with `python -m store import`, "
        "not extracted"
    )
