"""The numbers that ci/sqlgen gives migrations.

usage: test_sqlgen.py PATH_TO_SQLGEN MIGRATION..."""
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SQLGEN, MIGRATIONS = sys.argv[1], sys.argv[2:]


def run(paths):
    done = subprocess.run([sys.executable, SQLGEN, "migrations", *map(str, paths)], capture_output=True, text=True)
    return done.returncode, done.stderr, re.findall(r'^\t\{ (\d+), "(\w+)"', done.stdout, re.M)


class Numbers(unittest.TestCase):
    def made(self, *names):
        with tempfile.TemporaryDirectory() as directory:
            paths = [pathlib.Path(directory, f"{name}.sql") for name in names]
            for path in paths:
                path.write_text("select 1;\n")
            return run(paths)

    def test_the_number_in_the_name_is_the_migrations_number(self):
        code, err, rows = run(MIGRATIONS)
        self.assertEqual(code, 0, err)
        self.assertEqual([f"{int(number):04d}_{name}.sql" for number, name in rows],
                         sorted(pathlib.Path(path).name for path in MIGRATIONS))

    def test_other_numbers_are_refused(self):
        for names, words in ((("0001_a", "0003_b"), "there is no migration 0002"), (("0002_a",), "there is no migration 0001"),
                             (("0001_a", "0001_b"), "there is another migration 0001"), (("0001-a",), "is named NNNN_name.sql")):
            code, err, _ = self.made(*names)
            self.assertTrue(code != 0 and words in err, (names, err))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
