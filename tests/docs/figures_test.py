"""scripts/update-figures rewrites tables from figures and notices when one is not what they give: figures_test.py SOURCE_DIR"""

import importlib.machinery
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(sys.argv.pop(1) if len(sys.argv) > 1 else ".")
sys.dont_write_bytecode = True


def load():
    loader = importlib.machinery.SourceFileLoader("update_figures", str(ROOT / "scripts/update-figures"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


class Figures(unittest.TestCase):
    def run_in(self, root, *arguments):
        return subprocess.run([sys.executable, "-B", root / "scripts/update-figures", *arguments], capture_output=True,
                              text=True, check=False, timeout=120)

    def copy(self, folder):
        for part in ("docs", "scripts"):
            shutil.copytree(ROOT / part, Path(folder) / part)
        shutil.copy(ROOT / "README.md", folder)
        return Path(folder)

    def test_documents_are_what_the_figures_give(self):
        result = self.run_in(ROOT, "--check")
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def test_every_table_is_in_a_document(self):
        script = load()
        text = "".join(path.read_text(encoding="utf-8") for path in script.documents())
        names = [match[2] for match in script.MARKER.finditer(text)]
        self.assertEqual(sorted(names), sorted(set(names)), "a table stands twice")
        figures = script.read_json("docs/quality/figures.json")
        parts = [script.read_json(f"docs/benchmarks/{name}.json") for name in ("lossless", "codec", "mount")]
        self.assertEqual(set(script.all_tables(figures, *parts)), set(names))

    def test_a_changed_cell_is_noticed_and_mended(self):
        with tempfile.TemporaryDirectory() as folder:
            root = self.copy(folder)
            readme = root / "README.md"
            before = readme.read_text(encoding="utf-8")
            readme.write_text(before.replace("66.3 %", "60.3 %"), encoding="utf-8")
            self.assertNotEqual(readme.read_text(encoding="utf-8"), before)
            self.assertEqual(self.run_in(root, "--check").returncode, 1)
            self.assertEqual(self.run_in(root).returncode, 0)
            self.assertEqual(readme.read_text(encoding="utf-8"), before)

    def test_a_changed_figure_and_a_changed_plot_are_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            root = self.copy(folder)
            plot = root / "docs/quality/sqnr-tiny-llama.svg"
            plot.write_text(plot.read_text(encoding="utf-8") + "\n", encoding="utf-8")
            self.assertIn("sqnr-tiny-llama.svg", self.run_in(root, "--check").stdout)
        with tempfile.TemporaryDirectory() as folder:
            root = self.copy(folder)
            figures = root / "docs/benchmarks/mount.json"
            figures.write_text(figures.read_text(encoding="utf-8").replace("2.43", "9.43"), encoding="utf-8")
            self.assertIn("README.md", self.run_in(root, "--check").stdout)

    def test_an_unknown_table_is_an_error(self):
        with self.assertRaises(KeyError):
            load().rewritten("<!-- figures: none-such -->\n<!-- end -->", {})


if __name__ == "__main__":
    unittest.main()
