"""Reads the structure of the tree from its text: who includes whom, and how long classes and functions are.

Pure functions over strings and dictionaries, so that layering_test.py can try them on made-up trees.
"""

import re

# One row per folder: the folders it may include besides itself. A folder that is not here is a new room: give it a row.
# Rows name only folders above them, so the table itself has no cycle.
ROWS = {
    "base": [],
    "codec": ["base"],
    "archive": ["base", "codec"],
    "view": ["base", "codec", "archive"],
    "cache": ["base"],
    "packer/source": ["base", "codec", "archive"],
    "packer/tree": ["base", "codec", "archive", "packer/source"],
    "packer/report": ["base", "archive", "packer/tree", "packer/source"],
    "packer/read": ["base", "codec", "archive", "view", "packer/source"],
    "packer/pack": ["base", "codec", "archive", "view", "packer/source", "packer/tree", "packer/report", "packer/read"],
    "packer/quantize/arithmetic": ["base", "codec", "packer/source", "packer/tree"],
    "packer/quantize/selection": ["base", "packer/source", "packer/tree", "packer/quantize/arithmetic"],
    "packer/quantize/forms": [
        "base", "codec", "archive", "packer/source", "packer/tree", "packer/quantize/arithmetic",
        "packer/quantize/selection"],
    "packer/quantize": [
        "base", "codec", "packer/source", "packer/tree", "packer/report", "packer/read", "packer/pack",
        "packer/quantize/arithmetic", "packer/quantize/selection", "packer/quantize/forms"],
    "packer/analyze": [
        "base", "codec", "archive", "packer/source", "packer/tree", "packer/report", "packer/read", "packer/pack",
        "packer/quantize/arithmetic", "packer/quantize"],
    "packer/cli": [
        "base", "codec", "archive", "view", "packer/source", "packer/tree", "packer/report", "packer/read", "packer/pack",
        "packer/quantize/selection", "packer/quantize", "packer/analyze"],
    "packer": ["base", "packer/cli"],
    "fs": ["base", "codec", "archive", "view", "cache"],
}

# What one folder shows of itself: the only headers that others may include.
FRONT_DOORS = {"codec": ["codec/codec.h"]}

MAX_CLASS_LINES = 200
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400
# Decoders and encoders for one kind of CPU: one idea each, and long.
KERNEL_FOLDERS = ["codec/kernels", "view/kernels"]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.DOTALL)


def folder_of(path, rows):
    """The room a file is in: the longest row that its path begins with, or its own folder where none does."""
    parts = path.split("/")[:-1]
    for count in range(len(parts), 0, -1):
        if "/".join(parts[:count]) in rows:
            return "/".join(parts[:count])
    return "/".join(parts)


def file_includes(sources):
    """{file: the files of the tree that it includes}, from {file: text}."""
    return {path: [i for i in INCLUDE.findall(text) if i in sources] for path, text in sources.items()}


def cycle_in(graph):
    """A cycle of {node: nodes} as a list that ends where it began, or None."""
    state = {}

    def visit(node, trail):
        state[node] = "open"
        for following in graph.get(node, ()):
            if state.get(following) == "open":
                return trail[trail.index(following):] + [following] if following in trail else [following, following]
            if following not in state:
                found = visit(following, trail + [following])
                if found:
                    return found
        state[node] = "done"
        return None

    for node in graph:
        if node not in state:
            found = visit(node, [node])
            if found:
                return found
    return None


def faults_of_includes(sources, rows, front_doors):
    """What the includes of {file: text} do that `rows` and `front_doors` do not allow, one line each."""
    faults = []
    includes = file_includes(sources)
    folders = {}
    for path, included in includes.items():
        own = folder_of(path, rows)
        if own not in rows:
            faults.append(f"{path}: {own}/ has no row")
            continue
        for other in included:
            theirs = folder_of(other, rows)
            if theirs == own:
                continue
            folders.setdefault(own, set()).add(theirs)
            if theirs not in rows[own]:
                faults.append(f"{path}: {own}/ may not include {other}")
            if other not in front_doors.get(theirs, [other]):
                faults.append(f"{path}: {other} is not for others to include")
    cycle = cycle_in({folder: sorted(others) for folder, others in folders.items()})
    if cycle:
        faults.append("folders include each other: " + " -> ".join(cycle))
    cycle = cycle_in({path: included for path, included in includes.items() if path.endswith(".h")})
    if cycle:
        faults.append("headers include each other: " + " -> ".join(cycle))
    return faults


def faults_of_rows(rows):
    """A row must name rows that exist, and no row may come back to itself."""
    faults = [f"{own}: {other} has no row" for own, others in rows.items() for other in others if other not in rows]
    cycle = cycle_in(rows)
    if cycle:
        faults.append("rows allow a cycle: " + " -> ".join(cycle))
    return faults


def blocks(text):
    """(kind, first line, lines) of each class and function defined in C++ text; kind is "class" or "function"."""
    code = NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), text)
    code = re.sub(r"^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", lambda m: re.sub(r"[^\n]", " ", m.group(0)), code, flags=re.MULTILINE)
    found, open_blocks, head, line, head_line = [], [], "", 1, 1
    for c in code:
        if c == "{":
            kind = kind_of_block(head, open_blocks[-1][0] if open_blocks else "scope")
            open_blocks.append((kind, head_line if head.strip() else line))
            head = ""
        elif c == "}":
            if open_blocks:
                kind, first = open_blocks.pop()
                if kind in ("class", "function"):
                    found.append((kind, first, line - first + 1))
            head = ""
        elif c == ";":
            head = ""
        else:
            if not head.strip() and not c.isspace():
                head_line = line
            head += c
        if c == "\n":
            line += 1
    return found


def kind_of_block(head, outer):
    """What a brace opens, by the words before it and by what it stands in."""
    words = re.sub(r"<[^<>]*>", "", head)
    if re.search(r"\b(namespace|extern)\b[^()]*$", words):
        return "scope"
    if re.search(r"\benum\b", words):
        return "other"
    if re.search(r"\b(class|struct|union)\b[^()=]*$", words):
        return "class"
    if outer in ("scope", "class") and re.search(r"\)\s*(const|noexcept|override|final|try|->[^;]*|:[^;]*|\s)*$", words):
        return "function"
    return "other"


def faults_of_sizes(sources, kernel_folders):
    """Classes, functions and files of {file: text} that are longer than they should be."""
    faults = []
    for path, text in sources.items():
        if any(path.startswith(folder + "/") for folder in kernel_folders):
            continue
        lines = text.count("\n")
        if lines > MAX_FILE_LINES:
            faults.append(f"{path}: {lines} lines, more than {MAX_FILE_LINES}")
        for kind, first, count in blocks(text):
            most = MAX_CLASS_LINES if kind == "class" else MAX_FUNCTION_LINES
            if count > most:
                faults.append(f"{path}:{first}: a {kind} of {count} lines, more than {most}")
    return faults
