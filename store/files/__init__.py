"""Where the files of a feature set are, and how a part gets there: a folder, or object storage.

Both do the same by the same names. They know markers and places, never what is in a video. All paths are
relative to the feature set, with `/`.
"""

from store.files.bucket import Bucket
from store.files.folder import Folder

Files = Folder | Bucket

__all__ = ["Bucket", "Files", "Folder"]
