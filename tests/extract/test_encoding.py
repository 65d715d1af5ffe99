"""Each video has one outcome, whatever befalls it in whatever order."""

from contextlib import closing

import numpy as np
from fragile_encoder import DeviceEncoder

from extract.encoders.arrays import Overflow
from extract.location import FileStamp
from extract.run.batching import DeviceThreads
from extract.run.encoding import Encoding
from extract.tasks import Phases, Refused, VideoTask
from extract.video.decode import VideoInfo
from extract.video.view import Chunk
from extract.workers.messages import Attempt, Decoded, Ended, Lost

INFO = VideoInfo(8, 8, 4.0, 1.0, 4, 1, "h264", "yuv420p", 0, ())


class Refuses(DeviceEncoder):
    """Has no features for white frames."""

    def encode(self, chunks):
        if chunks[0].frames["luma"].max() > 250:
            raise Overflow("too large")
        return super().encode(chunks)


class Script:
    """Decoders whose events are given; None waits until all that was decoded has been encoded."""

    def __init__(self, *script):
        self.script = script
        self.recycled = 0

    def events(self, tasks):
        list(tasks)
        sent = 0
        for event in self.script:
            sent += event is not None and isinstance(event[1], Decoded)
            yield event
            while event is None and self.recycled < sent:
                yield None

    def recycle(self, _chunk):
        self.recycled += 1


def chunk(value):
    return Decoded("device", Chunk(0, 0.0, {"luma": np.full((4, 8, 8), value, np.uint8)}))


def outcomes(tmp_path, script, *tasks):
    with closing(DeviceThreads("cpu")) as threads:
        encoding = Encoding({"device": Refuses()}, script, threads, tmp_path, Phases())
        return [result for result in encoding.run(tasks) if result]


def test_a_video_that_an_encoder_refused_and_whose_decode_process_then_died_has_one_outcome(tmp_path):
    bad, good = VideoTask("bad", tmp_path / "b", ("device",)), VideoTask("good", tmp_path / "g", ("device",))
    first, second, other = Attempt(bad), Attempt(bad, 2), Attempt(good)
    crash = Refused(bad, "crash", "died twice")
    ended = Ended(INFO, FileStamp(1, "", ""), {})
    lost = Script(
        *((first, chunk(255)), None, (first, Lost()), (second, chunk(255)), None, (second, crash)),
        *((other, chunk(10)), (other, ended), None),
    )
    found = outcomes(tmp_path, lost, bad, good)
    assert [(result.task.video, type(result) is Refused) for result in found] == [
        ("bad", True),
        ("good", False),
    ]
    assert found[0].kind == "overflow"
    assert lost.recycled == 3
