"""`lmm-vqa`: every command of the project by one name, from any folder."""

import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parent
PACKAGES = {
    "extract": "stage 1: videos into the feature store",
    "train": "stage 2: projectors on stored features",
    "store": "look at, check, import and export features",
    "distort": "distorted copies of pristine videos",
    "demo": "the whole pipeline on generated videos",
}


def main() -> None:
    """Run the command that the arguments name: one of `evaluate`, or of the package named first."""
    # Where a library, or a folder beside the videos, is called as one of ours is, ours comes first; in the
    # processes that this one starts, too.
    sys.path.insert(0, str(ROOT))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    os.environ["PYTHONSAFEPATH"] = "1"
    program, *arguments = sys.argv
    name = Path(program).name
    if arguments[:1] == ["--version"]:
        print(f"{name} {version('lmm-vqa')}")
        return
    package = "evaluate"
    if arguments and arguments[0] in (*PACKAGES, package):
        package, *arguments = arguments
        name = f"{name} {package}"
    from config import cli

    sys.argv = [name, *arguments]
    app = import_module(f"{package}.__main__").app
    if name == "lmm-vqa":
        others = "\n\n".join(f"{name} {other} --help: {what}." for other, what in PACKAGES.items())
        app.info.epilog = others
    cli.run(app)
