"""Weights come from where the settings say, are checked, and cannot run code."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from config.schema import EncoderSettings
from extract.encoders.slowfast.encoders import SlowFastEncoder
from extract.encoders.slowfast.network import import_slowfast
from extract.errors import EncoderError

TINY = {"model_depth": 18, "stem_dim_outs": [8, 2], "slowfast_channel_reduction_ratio": [4]}
NAME = "SLOWFAST_8x8_R50.pyth"


class CountingHandler(SimpleHTTPRequestHandler):
    """Serves a folder's files, a share of each file's bytes, and keeps the paths that were asked for."""

    def __init__(self, *values, asked, share, **named):
        self.asked, self.share = asked, share
        super().__init__(*values, **named)

    def copyfile(self, source, outputfile):
        self.asked.append(self.path)
        data = source.read()
        outputfile.write(data[: int(len(data) * self.share)])

    def log_message(self, *_):
        """Nothing on the terminal."""


@contextmanager
def served(folder, share=1.0):
    """URL of the folder, and the list of what is asked of it."""
    asked = []
    handler = partial(CountingHandler, directory=str(folder), asked=asked, share=share)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """torch.hub's folder of checkpoints."""
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path / "hub"))
    assert torch.hub.get_dir() == str(tmp_path / "hub")
    return tmp_path / "hub" / "checkpoints"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Folder with a checkpoint in the official layout."""
    torch.manual_seed(2)
    model = import_slowfast().create_slowfast(**TINY, slowfast_fusion_conv_kernel_size=(7, 1, 1))
    folder = tmp_path_factory.mktemp("published")
    torch.save({"model_state": model.state_dict()}, folder / NAME)
    return folder


def slowfast(weights):
    settings = {"name": "slowfast", "kind": "slowfast", "architecture": TINY, "input_size": 32}
    return SlowFastEncoder(EncoderSettings(weights=str(weights), **settings))


def test_a_checkpoint_is_downloaded_once_to_where_torch_hub_keeps_them(hub, published):
    with served(published) as (url, asked):
        first = slowfast(f"{url}/{NAME}").specification()
        again = slowfast(f"{url}/{NAME}").specification()
    assert asked == [f"/{NAME}"]
    assert first == again == slowfast(published / NAME).specification()
    assert [file.name[12:] for file in hub.iterdir()] == [f"-{NAME}"]


def test_checkpoints_of_one_name_at_two_urls_are_two_checkpoints(hub, published, tmp_path):
    torch.manual_seed(3)
    other = import_slowfast().create_slowfast(**TINY, slowfast_fusion_conv_kernel_size=(7, 1, 1))
    for folder in ("a", "b"):
        (tmp_path / "web" / folder).mkdir(parents=True)
    (tmp_path / "web" / "a" / NAME).write_bytes((published / NAME).read_bytes())
    torch.save({"model_state": other.state_dict()}, tmp_path / "web" / "b" / NAME)
    with served(tmp_path / "web") as (url, _):
        one, two = (slowfast(f"{url}/{folder}/{NAME}").specification()["weights"] for folder in "ab")
    assert one != two
    assert len(list(hub.iterdir())) == 2


def test_a_broken_download_is_not_kept(hub, published):
    with served(published, share=0.5) as (url, _), pytest.raises(EncoderError, match="no torch checkpoint"):
        slowfast(f"{url}/{NAME}")
    assert not list(hub.iterdir())
    with served(published) as (url, _):
        assert slowfast(f"{url}/{NAME}").specification() == slowfast(published / NAME).specification()


@pytest.mark.usefixtures("hub")
def test_without_the_file_or_the_network_it_is_said_what_to_do(published):
    with served(published) as (url, _), pytest.raises(EncoderError, match="failed: HTTP Error 404"):
        slowfast(f"{url}/other.pyth")
    with pytest.raises(EncoderError) as caught:
        slowfast(f"{url}/{NAME}")
    for direction in ("are missing", "the download to", "Connection refused", "weights=PATH", "random:0"):
        assert direction in str(caught.value)


def test_a_checkpoint_that_runs_code_is_refused(tmp_path):
    class Sly:
        def __reduce__(self):
            return (print, ("this ran",))

    torch.save({"model_state": Sly()}, tmp_path / "sly.pyth")
    with pytest.raises(EncoderError, match="no torch checkpoint of plain tensors"):
        slowfast(tmp_path / "sly.pyth")


@pytest.mark.parametrize("content", [{"model_state": {"a": 1}}, [torch.zeros(1)]])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pyth")
    with pytest.raises(EncoderError, match="holds no state dict"):
        slowfast(tmp_path / "other.pyth")


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    torch.save({"model_state": {"blocks.0.weight": torch.zeros(1)}}, tmp_path / "other.pyth")
    with pytest.raises(EncoderError, match="does not fit slowfast_r50"):
        slowfast(tmp_path / "other.pyth")
