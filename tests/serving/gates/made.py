"""Records of gates that were not run here, and bundles that hold them."""

import json
import shutil

from scar.bundle import GATES, Bundle, seal
from scar.serving.candidates import Candidate
from scar.serving.gates import record_of


def record(bundle, engine, graph, precision, times=None, **more):
    """Give a record that passed here: of this machine, as `scar gate` writes it; other values in `more`."""
    opened = Bundle.open(bundle)
    way = Candidate(engine, graph, precision)
    speed = {} if times is None else {"speed": {"times": times}}
    about = record_of(way, opened.digest(graph)[graph], "onnxruntime")
    return about | {"passed": True, "reason": ""} | speed | more


def with_records(bundle, folder, *records):
    """Copy a bundle with further records in its gates.json."""
    shutil.copytree(bundle, folder)
    written = json.loads((folder / GATES).read_text())["records"]
    (folder / GATES).write_text(json.dumps({"records": [*written, *records]}))
    seal(folder)
    return folder
