"""Object storage for the tests of a store there."""

import uuid
from collections.abc import Iterator

import pytest
from s3_server import s3_server


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a local server that speaks S3, with a bucket named `bucket`."""
    with s3_server() as address:
        yield address


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    """A place of its own for each test."""
    if request.param == "s3":
        request.getfixturevalue("s3")
    return f"{request.param}://bucket/{uuid.uuid4().hex}"
