"""Keras in real processes: several of one job, and those that end in the middle of something."""

from __future__ import annotations

import json
import socket

import pytest
from integration.test_processes import Run
from integration.tiny_keras import FIT_AND_TEST

SCRIPT = """
import sys
import keras, numpy as np
from argus_integrations.keras import ArgusCallback
{before}
x = np.linspace(-1, 1, 32, dtype="float32").reshape(16, 2)
model = keras.Sequential([keras.layers.Dense(1)])
model.compile("sgd", "mse")
cb = ArgusCallback(job_id="j")
model.fit(x, x[:, :1], epochs=2, batch_size=4, verbose=0, validation_data=(x, x[:, :1]), callbacks=[cb])
model.evaluate(x, x[:, :1], batch_size=4, verbose=0, callbacks=[cb])
{after}
"""


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


JAX_DISTRIBUTED = """
import jax
jax.distributed.initialize("127.0.0.1:{port}", num_processes=2, process_id={process})
"""

JAX_DISTRIBUTED_LATE = (
    """
early = ArgusCallback()  # made when nothing said yet which process this is
"""
    + JAX_DISTRIBUTED
)

SAY_RANK = "import jax; print('rank', jax.process_index(), 'of', jax.process_count())"


@pytest.mark.parametrize("before", [JAX_DISTRIBUTED, JAX_DISTRIBUTED_LATE], ids=["early", "late"])
def test_two_processes_of_jax_distributed_tell_one_story(run, before):
    run.environment["KERAS_BACKEND"] = "jax"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    after = SAY_RANK + ("\nearly.close()" if before is JAX_DISTRIBUTED_LATE else "")

    scripts = [SCRIPT.format(before=before.format(port=port, process=n), after=after) for n in range(2)]
    processes = [run.start("-c", script) for script in scripts]
    outputs = [process.communicate(timeout=180)[0] for process in processes]

    assert [process.returncode for process in processes] == [0, 0], outputs
    assert [f"rank {n} of 2" in output for n, output in enumerate(outputs)] == [True, True], outputs
    assert run.story() == FIT_AND_TEST, outputs
    metrics = run.events()[-2].data["metrics"]
    assert metrics["Total_Batches"] == 8
    of_both = 2 * 16
    assert metrics["Inference_Throughput"] * metrics["Total_Inference_Time"] == pytest.approx(of_both)
    assert metrics["Samples_Per_Second"] * 2 * metrics["Avg_Epoch_Time"] == pytest.approx(2 * of_both)


@pytest.mark.parametrize("index", [0, 1])
def test_only_the_first_worker_of_tf_config_reports(run, index):
    workers = {
        "cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]},
        "task": {"type": "worker", "index": index},
    }
    run.environment["TF_CONFIG"] = json.dumps(workers)

    code, output = run.finish("-c", SCRIPT.format(before="", after=""))

    assert code == 0, output
    assert run.story() == ([] if index else FIT_AND_TEST), output


def test_a_process_that_loads_the_model_finishes_the_job_of_another(run, tmp_path):
    model = tmp_path / "model.keras"
    train = SCRIPT.replace("model.evaluate", f"model.save({str(model)!r}); sys.exit(); model.evaluate")
    test = SCRIPT.replace("model.fit", f"model = keras.saving.load_model({str(model)!r}); 0 and model.fit")
    run.environment["ARGUS_BATCH_ID"] = "b"

    for script in (train, test):
        code, output = run.finish("-c", script.format(before="", after=""))
        assert code == 0, output

    trained = ["batch_start", "job_start", "job_epoch 0", "job_epoch 1", "batch_done"]
    assert run.story() == [*trained, "batch_start", "job_start", "job_done", "batch_done"], output
    assert {event.job_id for event in run.events() if event.job_id} == {"j"}
    assert {event.batch_id for event in run.events()} == {"b"}


def test_the_module_imports_keras_alone(run):
    code, output = run.finish(
        "-c",
        "import sys, keras\n"
        "before = set(sys.modules)\n"
        "import argus_integrations.keras\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new & {'lightning', 'transformers', 'tensorflow', 'jax', 'sklearn', 'accelerate'}))",
    )

    assert (code, output.splitlines()[-1:]) == (0, ["[]"]), output
