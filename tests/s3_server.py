"""A local server that speaks S3, as long as a test module needs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import Request, urlopen

import fsspec
import pytest

VARIABLES = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_MAX_ATTEMPTS": "1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@contextmanager
def s3_server() -> Iterator[str]:
    """Its address, with a bucket named `bucket`; the environment leads there."""
    pytest.importorskip("s3fs", reason="no s3fs: `pip install s3fs` to test S3")
    server_module = pytest.importorskip("moto.server", reason="no moto: `pip install moto flask flask-cors`")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (VARIABLES | {"AWS_ENDPOINT_URL": f"http://{host}:{port}"}).items():
            patch.setenv(name, value)
        for name in ("connect_timeout", "read_timeout"):  # of 5 s and 15 s, which a busy machine may miss
            patch.setattr(fsspec.get_filesystem_class("s3"), name, 120)
        # All of moto's servers of a process share what is stored.
        reset = Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        with urlopen(reset) as answer:
            assert answer.status == 200
        # What a server of an earlier module was reached by.
        fsspec.get_filesystem_class("s3").clear_instance_cache()
        fsspec.filesystem("s3", skip_instance_cache=True).mkdir("bucket")
        yield f"http://{host}:{port}"
    server.stop()
