"""The snippets of `argus_integrations/README.md` run as they stand, after what their reader already has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "argus_integrations" / "README.md"


def snippets(kind="python"):
    """Return the code blocks of each section, by the first word of its heading."""
    found: dict[str, list[str]] = {}
    for section in re.split(r"^## ", README.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(rf"^```{kind}\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
        if blocks:
            found[section.split()[0]] = blocks
    return found


TRAIN = """
from argus_integrations.lightning import ArgusCallback
from integration.tiny_lightning import loader, scripted, trainer

def train(cb):
    model, t = scripted(), trainer([cb])
    t.fit(model, loader(), loader())
    return t.test(model, loader(), verbose=False)[0]["test_mse"]
"""

LIGHTNING = """
from integration.tiny_lightning import loader, scripted

model = scripted()
train_loader = val_loader = test_loader = loader()
"""

TRAINER = """
from integration.tiny_trainer import Line, Regressor, mse

model, f = Regressor(), mse
train, val, test = Line(), Line(), Line()
"""

KERAS = """
from integration.tiny_keras import X, Y, keras

model = keras.Sequential([keras.layers.Dense(1)])
(x, y), (x_val, y_val), (x_test, y_test) = [(X, Y)] * 3
"""

READER_HAS = {
    ("Lightning", 0): (LIGHTNING, {"job_epoch": 10, "job_done": 1}),
    ("Hugging", 0): (TRAINER, {"job_epoch": 3, "job_done": 1}),
    ("Keras", 0): (KERAS, {"job_epoch": 10, "job_done": 1}),
    ("Several", 0): (TRAIN, {"job_epoch": 6, "job_done": 3}),
    ("Several", 1): (TRAIN, {"job_epoch": 40, "job_done": 20}),
}
"""What stands before a snippet in a script, and what the snippet then sends beside starts and ends."""


@pytest.mark.parametrize(("section", "number"), READER_HAS)
@pytest.mark.filterwarnings("ignore::UserWarning:lightning")
def test_a_snippet_runs_as_it_is_pasted(sent, tmp_path, monkeypatch, section, number):
    monkeypatch.chdir(tmp_path)
    before, counts = READER_HAS[section, number]
    code = compile(snippets()[section][number], f"README.md, {section}", "exec", dont_inherit=True)
    namespace = {"__name__": "__main__"}

    exec(compile(before, "what the reader has", "exec", dont_inherit=True), namespace)
    exec(code, namespace)

    jobs = counts["job_done"]
    assert {kind: sent.types.count(kind) for kind in set(sent.types)} == {
        "batch_start": 1,
        "job_start": jobs,
        "batch_done": 1,
        **counts,
    }
    assert (sent.types[0], sent.types[-1]) == ("batch_start", "batch_done")
    assert {event.source.project for event in sent.events} == {"my-paper"}


def test_every_snippet_is_python():
    blocks = [(section, block) for section, found in snippets().items() for block in found]

    for section, block in blocks:
        compile(block, f"README.md, {section}", "exec")
    assert len(blocks) >= 4


def test_the_config_of_the_command_line_names_the_callback():
    import importlib

    yaml = pytest.importorskip("yaml")
    callback = yaml.safe_load(snippets("yaml")["Lightning"][0])["trainer"]["callbacks"][0]
    module, _, name = callback["class_path"].rpartition(".")

    assert getattr(importlib.import_module(module), name)(**callback["init_args"])
