"""The command line as its user has it: exit code, standard output, standard error."""
import dataclasses
import json
import os
import threading

from plane import SANITIZER_SIGNS
from rehearsal.service import run_to_end


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)

    def fields(self):
        """{name: value} of "name  value" lines."""
        return dict(line.split(None, 1) for line in self.out.splitlines() if len(line.split(None, 1)) == 2)

    def rows(self):
        """A table's rows as {title: cell}; no cell of these tables holds blanks."""
        lines = [line.split() for line in self.out.splitlines() if not line.startswith("more:")]
        return [dict(zip(lines[0], line)) for line in lines[1:]]


def bare(*words, **settings):
    """A command with these environment variables and no others."""
    result = Result(*run_to_end(*words, settings=settings))
    assert not any(sign in result.err for sign in SANITIZER_SIGNS), result.err
    return result


class Cli:
    """Calls with the address and a token of one service; token=None leaves the token out."""

    def __init__(self, plane):
        self.plane = plane

    def __call__(self, *words, token="", **settings):
        if token is not None:
            settings["LAUNCHPLANE_TOKEN"] = token or self.plane.token()
        settings.setdefault("LAUNCHPLANE_SERVICE_URL", self.plane.url)
        result = bare(*words, **settings)
        self.plane.answers += [result.out, result.err]
        return result

    def start(self, *words):
        """The same beside the test; the returned function waits for its Result."""
        results = []
        thread = threading.Thread(target=lambda: results.append(self(*words)), daemon=True)
        thread.start()

        def wait():
            thread.join(60)
            assert results, f"{words} did not end"
            return results[0]
        return wait


def input_file(directory, document):
    path = directory / "input.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    os.chmod(path, 0o600)
    return str(path)
