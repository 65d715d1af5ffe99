"""Where files of a store are, such as those of a feature set: in a folder, or in object storage.

Both do the same by the same names. They know markers and places, never what is in a video. All paths are
relative to the folder of the feature set, with `/`.
"""

from pathlib import Path

from store.files.bucket import Bucket
from store.files.folder import Folder
from store.remote.place import as_folder, is_url

Files = Folder | Bucket


def files_at(root: Path | str, folder: str, durable: bool = True) -> Files:
    """Those in a folder below a store's root, which is a folder or a URL; nothing is made before `make`.

    `durable`: whether what is written outlives a power failure, which takes its time; in object storage it
    always does.
    """
    return (
        Bucket(root, folder) if is_url(root) else Folder(as_folder(root) / folder, as_folder(root), durable)
    )


__all__ = ["Bucket", "Files", "Folder", "files_at"]
