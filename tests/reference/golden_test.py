"""golden_test.py FOLDER: the reference decoder agrees with FOLDER/expected.txt on every archive there."""

import os
import sys

from container import Archive
from refused import Refused


def expected_files(folder):
    expected = {}
    with open(os.path.join(folder, "expected.txt"), encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            archive, size, digest, path = line.rstrip("\n").split(" ", 3)
            expected.setdefault(archive, []).append((path, int(size), digest))
    return expected


def main(folder):
    expected = expected_files(folder)
    failures = 0
    for name in sorted(os.listdir(folder)):
        stem, extension = os.path.splitext(name)
        if extension != ".entro":
            continue
        with open(os.path.join(folder, name), "rb") as file:
            data = file.read()
        try:
            archive = Archive(data)
            found = [(os.fsdecode(name and name + b":" + f.path or f.path), len(archive.read_file(f)), f.hash.hex())
                     for name, files, _ in archive.trees() for f in files]
            archive.report()
        except Refused as refused:
            found = str(refused)
        agrees = sorted(found) == sorted(expected.get(stem, []))
        failures += not agrees
        print("ok  " if agrees else "FAIL", name, "" if agrees else found)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
