"""Files that no video should be, made when a test needs them."""

import os
import struct
from pathlib import Path

import av
import numpy as np
from small_videos import cut_in_half, encode


def broken(folder: Path, fault: str) -> Path:
    """A file in the folder with that fault; see the branches for what there is."""
    path = folder / f"{fault}.mp4"
    whole = encode(folder / "whole.mp4", options={"movflags": "+faststart"})
    data = bytearray(whole.read_bytes())
    if fault == "folder":
        path.mkdir()
    elif fault == "fifo":
        os.mkfifo(path)
    elif fault == "text":
        path.write_text("not a video\n" * 40)
    elif fault == "random":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif fault == "playlist":
        path.write_text(f"#EXTM3U\n#EXTINF:3,\n{whole}\n#EXT-X-ENDLIST\n")
    elif fault == "empty":
        path.touch()
    elif fault == "no-moov":
        cut_in_half(encode(folder / "slow-start.mp4"), path)
    elif fault == "half":
        cut_in_half(whole, path)
    elif fault == "half-mkv":
        return cut_in_half(encode(folder / "whole.mkv"), folder / "half.mkv")
    elif fault == "timescale":
        at = data.find(b"mdhd") + 16
        path.write_bytes(data[:at] + struct.pack(">I", 200_000_000) + data[at + 4 :])
    elif fault == "bit-rot":
        start = data.find(b"mdat") + 900
        data[start::97] = bytes(len(data[start::97]))
        path.write_bytes(data)
    elif fault == "no-first-key-frame":
        return _without_first_group(whole, path)
    elif fault == "sound":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44_100)
            for index in range(10):
                frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                frame.rate, frame.pts = 44_100, index * 1024
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


def _without_first_group(whole: Path, path: Path) -> Path:
    """Overwrite the first key frame, so that nothing decodes before the second."""
    with av.open(str(whole)) as container:
        first = next(packet for packet in container.demux(video=0) if packet.size)
        at, size = first.pos, first.size
    data = bytearray(whole.read_bytes())
    data[at : at + size] = bytes(size)
    path.write_bytes(data)
    return path
