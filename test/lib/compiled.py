"""C files of ours as a library, to be called from Python."""
import ctypes
import os
import shutil
import subprocess
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def load(sources):
    """The library of files named from the top, or None without a compiler."""
    compiler = os.environ.get("CC") or shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "parts.so")
        subprocess.run(
            [compiler, "-std=gnu11", "-O2", "-ffp-contract=off", "-fPIC",
             "-shared", "-D_GNU_SOURCE", "-Isrc/include", "-o", path]
            + sources + ["-lm"], cwd=ROOT, check=True)
        return ctypes.CDLL(path)
