"""The documents agree with the tree and with the programs: documents_test.py SOURCE_DIR BIN_DIR"""

import subprocess
import sys
import unittest
from pathlib import Path

import documents

BIN = Path(sys.argv.pop(2) if len(sys.argv) > 2 else "build/dev/bin")
ROOT = Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".")
COMMANDS = {
    "entro-pack": ["create", "analyze", "inspect", "list", "verify", "extract", "sign", "verify-signature"],
    "entrofs": ["mount", "umount", "status"],
}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def exists(path):
    return (ROOT / path).exists()


def texts():
    """{path: text} of every document."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "docs/man").glob("*.1")]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in sorted(paths)}


def help_of(program, *command):
    result = subprocess.run([BIN / program, *command, "--help"], capture_output=True, text=True, timeout=60, check=False)
    return result.stdout


class TheDocuments(unittest.TestCase):
    def test_there_are_some(self):
        self.assertGreater(len(texts()), 12)

    def test_links_lead_somewhere(self):
        self.assertEqual([f for p, t in texts().items() for f in documents.faults_of_links(p, t, exists, read)], [])

    def test_paths_exist(self):
        self.assertEqual([f for p, t in texts().items() for f in documents.faults_of_paths(p, t, exists)], [])

    def test_readme_is_short(self):
        self.assertEqual(documents.faults_of_length("README.md", read("README.md"), 150), [])

    def test_index_names_every_document(self):
        index = read("docs/README.md")
        pages = [p.removeprefix("docs/") for p in texts() if p.startswith("docs/") and p != "docs/README.md"]
        self.assertEqual([page for page in pages if f"({page})" not in index], [])

    def test_commands_are_those_that_are_checked(self):
        for program, commands in COMMANDS.items():
            part = help_of(program).lower().partition("commands:")[2].partition("\n\n")[0]
            self.assertEqual([line.split()[0] for line in part.splitlines() if line.startswith("  ") and line[2:3].strip()],
                             commands)

    def test_man_pages_name_the_options_that_there_are(self):
        helps = {program: [help_of(program), *(help_of(program, c) for c in commands)] for program, commands in COMMANDS.items()}
        options = {program: set().union(*map(documents.options_of_help, pages)) for program, pages in helps.items()}
        self.assertGreater(min(map(len, options.values())), 10)
        every = set().union(*options.values())
        for program, own in options.items():
            page = f"docs/man/{program}.1"
            self.assertEqual(documents.faults_of_options(page, read(page), own, every), [])

    def test_man_page_names_the_mount_options_that_there_are(self):
        names = documents.mount_options_of_help(help_of("entrofs", "mount"))
        self.assertGreater(len(names), 8)
        self.assertEqual(documents.faults_of_mount_options("entrofs.1", read("docs/man/entrofs.1"), names), [])


class TheChecks(unittest.TestCase):
    """Each check notices the fault it is there for."""

    TREE = {"docs/a.md": "# One thing\n\n## Two, `x` (y)\n", "base/file.h": "", "base/file.cc": ""}

    def exists(self, path):
        return any(name == path or name.startswith(path + "/") for name in self.TREE)

    def links(self, text):
        return documents.faults_of_links("docs/b.md", text, self.exists, self.TREE.get)

    def paths(self, text):
        return documents.faults_of_paths("b.md", text, self.exists)

    def test_a_link_to_nothing_is_found(self):
        self.assertEqual(self.links("[x](a.md) [y](../base/file.h) [z](https://x.org/no)"), [])
        self.assertEqual(len(self.links("[x](c.md)")), 1)
        self.assertEqual(len(self.links("![x](pictures/c.svg)")), 1)

    def test_a_link_to_no_heading_is_found(self):
        self.assertEqual(self.links("[x](a.md#one-thing) [y](a.md#two-x-y)"), [])
        self.assertEqual(len(self.links("[x](a.md#three)")), 1)
        self.assertEqual(len(self.links("# Here\n[x](#here) [y](#there)")), 1)

    def test_a_path_to_nothing_is_found(self):
        self.assertEqual(self.paths("`base/file.h`, base/file.{h,cc}, base/, /mnt/base/x, fs/engine_NAME.cc."), [])
        self.assertEqual(self.paths("See base/none.h."), ["b.md: there is no base/none.h"])
        self.assertEqual(self.paths("base/file.{h,py}"), ["b.md: there is no base/file.py"])

    def test_an_option_that_is_not_described_is_found(self):
        own = documents.options_of_help("Options:\n  -h,--help   Print --this\n  --size SIZE\n  --yes{1}  x --other\n")
        self.assertEqual(own, {"-h", "--help", "--size", "--yes"})
        man = ".BR \\-h \", \" \\-\\-help\n\\fB\\-\\-size\\fR and \\fB\\-\\-yes\\fR"
        self.assertEqual(documents.faults_of_options("x.1", man, own), [])
        self.assertEqual(documents.faults_of_options("x.1", man, own | {"--more"}), ["x.1: --more is missing"])
        self.assertEqual(documents.faults_of_options("x.1", man, own | {"-m"}), ["x.1: -m is missing"])

    def test_an_option_that_does_not_exist_is_found(self):
        self.assertEqual(documents.faults_of_options("x.1", "\\-\\-gone", set()), ["x.1: no program has --gone"])
        self.assertEqual(documents.faults_of_options("x.1", "\\-\\-gone", set(), {"--gone"}), [])

    def test_a_mount_option_that_is_not_described_is_found(self):
        names = documents.mount_options_of_help("Options:\n  -h,--help  x\n  -f,--foreground  x\n  --a-b SIZE  x\n  --cd  x\n")
        self.assertEqual(names, {"a_b", "cd"})
        self.assertEqual(documents.faults_of_mount_options("x.1", ".BR a_b=\\fISIZE\\fR ,", names), ["x.1: -o cd is missing"])

    def test_a_long_document_is_found(self):
        self.assertEqual(documents.faults_of_length("x", "a\n" * 3, 3), [])
        self.assertEqual(len(documents.faults_of_length("x", "a\n" * 4, 3)), 1)


if __name__ == "__main__":
    unittest.main()
