"""Finds what is wrong with documents: links and paths that lead nowhere, options that no program has.

Pure functions over text, so that documents_test.py can try them on made-up documents. Each returns one line per fault.
"""

import posixpath
import re

TOP_FOLDERS = "base|codec|archive|view|cache|storage|packer|fs|cli|bench|tests|docs|scripts|systemd|cmake"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
NAMED_PATH = re.compile(rf"(?<![\w/.:@-])((?:{TOP_FOLDERS})/[\w./@-]*(?:\{{[\w,.]+\}}[\w./@-]*)?)(?![\w*<(])")
CODE_BLOCK = re.compile(r"^```.*?^```", re.S | re.M)
LONG_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")
SHORT_OPTION = re.compile(r"(?<![\w-])-[a-zA-Z](?![\w-])")


def anchors(text):
    """The anchors of a Markdown text's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ +(.+?)\s*$", CODE_BLOCK.sub("", text), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w -]", "", heading).replace(" ", "-"))
    return found


def faults_of_links(path, text, exists, read):
    """Relative links of the document `path`. exists(path) and read(path) look into the tree."""
    faults = []
    for link in LINK.findall(CODE_BLOCK.sub("", text)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) if target else path
        if target != path and not exists(target):
            faults.append(f"{path}: the link {link} leads nowhere")
        elif anchor and anchor not in anchors(text if target == path else read(target)):
            faults.append(f"{path}: {target} has no heading #{anchor}")
    return faults


def expanded(path):
    """["a.h", "a.cc"] of "a.{h,cc}"."""
    match = re.search(r"\{([^}]*)\}", path)
    if not match:
        return [path]
    return [path[: match.start()] + part + path[match.end():] for part in match[1].split(",")]


def faults_of_paths(path, text, exists):
    """Files and folders of the tree that a document names. NAME in a path stands for any name."""
    faults = []
    for named in NAMED_PATH.findall(LINK.sub("", text)):
        for one in expanded(named.rstrip(".")):
            if "NAME" not in one and not exists(one.rstrip("/")):
                faults.append(f"{path}: there is no {one}")
    return faults


def plain_man(text):
    """A man page without its markup, good enough to find options in."""
    text = re.sub(r"\\f[BIRP]", "", text.replace("\\-", "-"))
    return re.sub(r"^\.(?:BR|RB|IR|RI|BI|IB) (.*)$", lambda m: re.sub(r'\s*"([^"]*)"\s*|\s+', r"\1", m[1]), text, flags=re.M)


def options_of_help(text):
    """Every option that a --help text declares: the words before two spaces at the beginning of a line."""
    options = set()
    for line in text.splitlines():
        match = re.match(r"  (-[^ ]*)", line)
        if match:
            options |= set(LONG_OPTION.findall(match[1].replace(",", " "))) | set(SHORT_OPTION.findall(match[1].replace(",", " ")))
    return options


def mount_options_of_help(text):
    """The names that `-o` takes: those of the options of `entrofs mount`, but for the ones that are about the command."""
    options = options_of_help(text) - {"--help", "--foreground"}
    return {option[2:].replace("-", "_") for option in options if option.startswith("--")}


def faults_of_options(page, man, own, others=frozenset()):
    """`man` must name every option in `own`, and no long option that is neither in `own` nor in `others`."""
    text = plain_man(man)
    named = set(LONG_OPTION.findall(text)) | set(SHORT_OPTION.findall(text))
    faults = [f"{page}: {option} is missing" for option in sorted(own - named)]
    unknown = {option for option in named if option.startswith("--")} - own - others
    return faults + [f"{page}: no program has {option}" for option in sorted(unknown)]


def faults_of_mount_options(page, man, names):
    """`man` must name every option of `-o`."""
    words = set(re.findall(r"[a-z_]+", plain_man(man)))
    return [f"{page}: -o {name} is missing" for name in sorted(names - words)]


def faults_of_length(path, text, most_lines):
    lines = text.count("\n")
    return [f"{path}: {lines} lines, not at most {most_lines}"] if lines > most_lines else []
