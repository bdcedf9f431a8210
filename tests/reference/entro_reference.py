#!/usr/bin/env python3
"""A slow second decoder of .entro archives, written from docs/archive-format.md and docs/codec-format.md.

    entro_reference.py list FILE                  one line per file of every view: size, XXH3-128, [view:]path
    entro_reference.py verify FILE                reads and checks everything
    entro_reference.py extract FILE DIR [VIEW]    writes the files of the default or another view below DIR, which must
                                                  not exist

Exit code 0, or 1 with one line on stderr when the archive is refused. Holds the whole archive in memory.
"""

import os
import sys

from container import Archive
from refused import Refused, check


def list_files(archive):
    for name, files, _ in archive.trees():
        for file in files:
            print(file.size, file.hash.hex(), (os.fsdecode(name) + ":" if name else "") + os.fsdecode(file.path))


def verify(archive):
    for _, files, _ in archive.trees():
        for file in files:
            archive.read_file(file)
    archive.report()


def extract(archive, folder, view=None):
    wanted = archive.default_view if view is None else os.fsencode(view)
    trees = [tree for tree in archive.trees() if tree[0] == wanted]
    check(trees, "no such view")
    _, files, directories = trees[0]
    os.mkdir(folder)
    for path in directories:
        os.makedirs(os.path.join(os.fsencode(folder), path), exist_ok=True)
    for file in files:
        target = os.path.join(os.fsencode(folder), file.path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "xb") as out:
            out.write(archive.read_file(file))


def main(arguments):
    commands = {"list": (list_files, (1,)), "verify": (verify, (1,)), "extract": (extract, (2, 3))}
    if not arguments or arguments[0] not in commands or len(arguments) - 1 not in commands[arguments[0]][1]:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[1], "rb") as file:
        data = file.read()
    try:
        commands[arguments[0]][0](Archive(data), *arguments[2:])
    except Refused as refused:
        print(f"{arguments[1]}: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
