"""The tree is the one its design states: layering_test.py SOURCE_DIR"""

import os
import re
import sys
import unittest

import structure

ROOT = sys.argv.pop(1) if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]) else "."


def product_sources():
    """{path: text} of every C++ file of the folders that have a row."""
    sources = {}
    for top in sorted({row.split("/")[0] for row in structure.ROWS}):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith((".h", ".cc")):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        sources[os.path.relpath(path, ROOT)] = file.read()
    return sources


class TheTree(unittest.TestCase):
    def test_folders_include_only_what_they_may(self):
        sources = product_sources()
        self.assertGreater(len(sources), 150)
        self.assertEqual(structure.faults_of_includes(sources, structure.ROWS, structure.FRONT_DOORS), [])

    def test_rows_have_no_cycle(self):
        self.assertEqual(structure.faults_of_rows(structure.ROWS), [])

    def test_files_classes_and_functions_are_of_readable_size(self):
        self.assertEqual(structure.faults_of_sizes(product_sources(), structure.KERNEL_FOLDERS), [])

    def test_namespaces_are_called_after_folders(self):
        faults = []
        for path, text in product_sources().items():
            if path.endswith("main.cc"):
                continue
            folder = structure.folder_of(path, structure.ROWS)
            name = "entrofs" if folder == "base" else "entrofs::" + folder.replace("/", "::")
            names = re.findall(r"^namespace (entrofs[\w:]*) ", text, re.MULTILINE)
            if names and not any(n == name or n.startswith(name + "::") for n in names):
                faults.append(f"{path}: namespace {names[0]}, not {name}")
        self.assertEqual(faults, [])

    def test_every_folder_with_code_is_built_as_a_library_of_its_own(self):
        for row in structure.ROWS:
            path = os.path.join(ROOT, row, "CMakeLists.txt")
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if row != "packer":
                self.assertIn(f"entrofs_add_library({row.replace('/', '_').removeprefix('/')}\n", text, row)


class TheChecks(unittest.TestCase):
    """Each check notices the fault it is there for."""

    ROWS = {"low": [], "mid": ["low"], "mid/inner": ["low"], "high": ["mid", "low"]}

    def faults(self, sources):
        return structure.faults_of_includes(sources, self.ROWS, {"low": ["low/a.h"]})

    def test_allowed_includes_are_no_fault(self):
        self.assertEqual(self.faults({"low/a.h": "", "mid/b.cc": '#include "low/a.h"\n#include <vector>\n'}), [])

    def test_an_include_upward_is_found(self):
        found = self.faults({"low/a.h": '#include "mid/b.h"\n', "mid/b.h": ""})
        self.assertEqual(found, ["low/a.h: low/ may not include mid/b.h"])

    def test_an_include_between_a_folder_and_its_subfolder_is_found(self):
        found = self.faults({"mid/inner/a.cc": '#include "mid/b.h"\n', "mid/b.h": ""})
        self.assertEqual(found, ["mid/inner/a.cc: mid/inner/ may not include mid/b.h"])

    def test_a_cycle_of_folders_is_found(self):
        found = self.faults({"low/a.h": '#include "mid/b.h"\n', "mid/b.h": "", "mid/c.h": '#include "low/a.h"\n'})
        self.assertIn("folders include each other: low -> mid -> low", found)

    def test_a_cycle_of_headers_is_found(self):
        found = self.faults({"low/a.h": '#include "low/b.h"\n', "low/b.h": '  #  include "low/a.h"\n'})
        self.assertIn("headers include each other: low/a.h -> low/b.h -> low/a.h", found)

    def test_a_header_behind_the_front_door_is_found(self):
        found = self.faults({"low/hidden.h": "", "mid/b.cc": '#include "low/hidden.h"\n'})
        self.assertEqual(found, ["mid/b.cc: low/hidden.h is not for others to include"])

    def test_a_folder_without_a_row_is_found(self):
        self.assertEqual(self.faults({"new/a.h": ""}), ["new/a.h: new/ has no row"])

    def test_a_cycle_of_rows_is_found(self):
        self.assertEqual(structure.faults_of_rows({"a": ["b"], "b": ["a"]}), ["rows allow a cycle: a -> b -> a"])
        self.assertEqual(structure.faults_of_rows({"a": ["b"]}), ["a: b has no row"])

    def test_long_functions_classes_and_files_are_found(self):
        function = "Status Run(int x) {\n" + "  Work();\n" * 60 + "}\n"
        method = "class Big {\n public:\n" + "  int F() const { return 1; }\n" * 199 + "};\n"
        inner = "struct A {\n  void Run() override {\n" + "    if (x) {\n    }\n" * 30 + "  }\n};\n"
        for name, text, count in (("f", function, 1), ("c", method, 1), ("i", inner, 1), ("l", "int x;\n" * 401, 1)):
            found = structure.faults_of_sizes({name + ".cc": text}, [])
            self.assertEqual(len(found), count, (name, found))
            self.assertEqual(structure.faults_of_sizes({"kernels/" + name + ".cc": text}, ["kernels"]), [])

    def test_blocks_are_counted_as_written(self):
        text = 'namespace x {\n// class {\nconst char* kText = "} {";\nenum class E { kA };\nvoid F()\n    noexcept {\n}\n}\n'
        self.assertEqual(structure.blocks(text), [("function", 5, 3)])
        text = "template <class T>\nstruct S : Base<T> {\n  S() : a_{1}, b_(2) {\n  }\n  int a_{0};\n};\n"
        self.assertIn(("class", 1, 6), structure.blocks(text))


if __name__ == "__main__":
    unittest.main()
