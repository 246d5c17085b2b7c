"""Take away each guard of the integrations in turn, and show that a test fails each time.

    python scripts/mutants.py                    # all of them: half an hour
    python scripts/mutants.py "rank" "listed"    # those with one of these words in their name

Works on a copy of the tree, changes one place at a time, and runs the few tests named beside it: first all of
them as they are, which must pass. Prints a Markdown table; exits with 1 if a mutant survives, or if a test
or a place is no longer there. Whoever changes a guarded line finds its mutant by that message.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import click

ROOT = Path(__file__).resolve().parents[1]
COPIED = ("argus_core", "argus_integrations", "server", "tests", "examples", "pyproject.toml", "README.md")
TIMEOUT_S = 400

RUN = "argus_integrations/_training_run.py"
CALLBACK = "argus_integrations/_callback.py"
FRAMES = "argus_integrations/_frames.py"
SIDECAR = "argus_integrations/_sidecar.py"
LIGHTNING = "argus_integrations/lightning.py"
HF = "argus_integrations/transformers.py"
KERAS = "argus_integrations/keras.py"
BATCHES = "argus_integrations/_batches.py"
ACCELERATE = "argus_integrations/accelerate.py"
SKLEARN = "argus_integrations/sklearn.py"
RANK = "argus_core/distributed.py"
STAGES = "argus_core/footprint/stages.py"
FOOTPRINT = "argus_core/footprint/footprint.py"


class Mutant(NamedTuple):
    """One guard, and the tree without it.

    Attributes:
        guard: what is taken away.
        path: in which file.
        old: stands there exactly once.
        new: what stands there instead.
        tests: of which one must fail: `keras::test_x` is in `tests/integration/test_keras.py`,
            `core/footprint::test_x` in `tests/unit/core/test_footprint.py`.
    """

    guard: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    # --- which hooks Lightning calls at every step
    Mutant(
        "hooks of every step: those that are empty are hidden from Lightning",
        LIGHTNING,
        "if getattr(type(self), name, None) in empty:",
        "if False:",
        ("lightning::test_a_training_passes_over_hooks_of_every_step_that_are_empty",),
    ),
    Mutant(
        "hooks of every step: those that a subclass fills are not",
        LIGHTNING,
        "if getattr(type(self), name, None) in empty:",
        "if True:",
        ("lightning::test_hooks_of_every_step_that_a_subclass_fills_are_called_in_every_copy_of_it",),
    ),
    # --- who reports
    Mutant(
        "rank: only global rank zero reports",
        RUN,
        "return self.is_rank_zero and self._options.enabled is not False",
        "return self._options.enabled is not False",
        ("lightning::test_only_global_rank_zero_reports",),
    ),
    Mutant(
        "rank: Lightning, at the begin of a training",
        LIGHTNING,
        '"train"), rank_zero=trainer.is_global_zero',
        '"train"), rank_zero=True',
        ("lightning::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Lightning, at the begin of a test",
        LIGHTNING,
        '"test"), rank_zero=trainer.is_global_zero',
        '"test"), rank_zero=True',
        ("lightning::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Transformers, at the begin of a training",
        HF,
        "rank_zero=state.is_world_process_zero,\n            new_job",
        "rank_zero=True,\n            new_job",
        ("transformers_jobs::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Transformers, at the end of a test",
        HF,
        "rank_zero=state.is_world_process_zero,\n            failed_silently",
        "rank_zero=True,\n            failed_silently",
        ("transformers_jobs::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Keras, at the begin of a training",
        KERAS,
        "epochs), rank_zero=is_global_zero()",
        "epochs), rank_zero=True",
        ("keras_jobs::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Keras, at the begin of a test",
        KERAS,
        "None), rank_zero=is_global_zero()",
        "None), rank_zero=True",
        ("keras_jobs::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: sklearn, at the begin of a training",
        SKLEARN,
        "(run.training_began)(estimator, lambda: facts, rank_zero=is_global_zero())",
        "(run.training_began)(estimator, lambda: facts, rank_zero=True)",
        ("sklearn::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: sklearn, at the begin of a test",
        SKLEARN,
        "(run.test_began)(estimator, lambda: facts, rank_zero=is_global_zero())",
        "(run.test_began)(estimator, lambda: facts, rank_zero=True)",
        ("sklearn::test_a_rank_other_than_zero_adds_nothing_to_a_batch_that_is_shared",),
    ),
    Mutant(
        "rank: Accelerate's word counts before the launcher's",
        ACCELERATE,
        "return bool(PartialState().is_main_process) if PartialState._shared_state else is_global_zero()",
        "return True",
        ("accelerate::test_two_processes_under_torchrun_tell_one_story",),
    ),
    Mutant(
        "rank: RANK is asked before LOCAL_RANK",
        RANK,
        '    "RANK",\n    "SLURM_PROCID",',
        '    "LOCAL_RANK",\n    "RANK",\n    "SLURM_PROCID",',
        ("core/distributed::test_a_local_rank_zero_of_another_node_is_not_global_zero",),
    ),
    Mutant(
        "rank: a process group knows better than the environment",
        RANK,
        "(_jax_rank, _torch_rank, _tensorflow_rank, rank_from_environment)",
        "(rank_from_environment, _jax_rank, _torch_rank, _tensorflow_rank)",
        ("core/distributed::test_a_process_group_knows_better_than_the_environment",),
    ),
    Mutant(
        "rank: JAX is asked only once it is distributed",
        RANK,
        "return int(jax.process_index()) if is_distributed else None",
        "return int(jax.process_index())",
        ("core/distributed::test_jax_is_asked_only_when_it_is_distributed",),
    ),
    Mutant(
        "rank: the chief of TF_CONFIG comes before the workers",
        RANK,
        'return index + len(cluster["chief"])',
        "return index",
        ("core/distributed::test_tensorflow_says_it_in_tf_config",),
    ),
    Mutant(
        "`enabled=False` reports nothing",
        RUN,
        "return self.is_rank_zero and self._options.enabled is not False",
        "return self.is_rank_zero",
        ("lightning::test_a_disabled_callback_adds_nothing_to_a_batch_that_is_shared",),
    ),
    # --- epochs
    Mutant(
        "deferral of `job_epoch`: Lightning",
        LIGHTNING,
        "self._argus_run.epoch_ended(trainer.current_epoch, lr=_learning_rate(trainer))",
        "self._argus_run.epoch_ended(trainer.current_epoch, lr=_learning_rate(trainer))\n"
        "        self._argus_complete_epoch(trainer)\n"
        "        self._argus_run.send_epoch()",
        ("lightning::test_what_a_module_logs_after_the_callbacks_belongs_to_its_epoch_and_its_test",),
    ),
    Mutant(
        "deferral of `job_epoch`: Transformers",
        HF,
        '**{"lr": _learning_rate(optimizer), **self._argus_logs.data()})',
        '**{"lr": _learning_rate(optimizer), **self._argus_logs.data()})\n'
        "        self._argus_run.send_epoch()",
        ("transformers::test_an_epoch_says_what_the_trainer_logged_in_it",),
    ),
    Mutant(
        "stale validation metrics: Lightning",
        LIGHTNING,
        "for name, value in metrics.items() if self._argus_seen.get(name) is not value}",
        "for name, value in metrics.items()}",
        ("lightning::test_an_epoch_shows_validation_metrics_only_if_validation_ran_in_it",),
    ),
    Mutant(
        "stale validation metrics: Transformers",
        HF,
        "        self._argus_logs = _EpochLogs(state.global_step)\n        self._argus_run.epoch_began()",
        "        self._argus_run.epoch_began()",
        ("transformers::test_an_epoch_has_the_mean_of_its_losses_and_its_own_evaluations",),
    ),
    Mutant(
        "sanity check: the job begins after it, and an empty fit never",
        LIGHTNING,
        "def on_train_start(",
        "def on_fit_start(",
        (
            "lightning::test_what_never_trains_reports_nothing",
            "lightning_failures::test_what_breaks_before_training_begins_announces_nothing",
        ),
    ),
    Mutant(
        "epoch offset of a second fit",
        RUN,
        "self._epoch_offset = self._last_epoch + 1 if epoch == 0 else 0",
        "self._epoch_offset = 0",
        ("lightning::test_a_second_fit_of_the_same_model_before_a_test_continues_the_job",),
    ),
    Mutant(
        "no epoch offset where the framework counts on",
        RUN,
        "self._epoch_offset = self._last_epoch + 1 if epoch == 0 else 0",
        "self._epoch_offset = self._last_epoch + 1",
        ("keras_jobs::test_a_fit_that_goes_on_with_initial_epoch_counts_on_without_a_gap",),
    ),
    Mutant(
        "absolute epochs on resume: Lightning",
        LIGHTNING,
        "self._argus_run.epoch_ended(trainer.current_epoch, ",
        "self._argus_run.epoch_ended(self._argus_run._last_epoch + 1, ",
        ("lightning::test_a_resumed_run_counts_on",),
    ),
    Mutant(
        "absolute epochs on resume: Transformers",
        HF,
        "self._argus_run.epoch_ended(number, **{",
        "self._argus_run.epoch_ended(self._argus_run._last_epoch + 1, **{",
        ("transformers_jobs::test_a_resumed_run_counts_on",),
    ),
    Mutant(
        "an epoch that ends outside a training is none",
        RUN,
        '        if self.state != "training":\n            return\n        if self._first_epoch_of_training:',
        "        if self._first_epoch_of_training:",
        ("keras_jobs::test_a_training_that_is_closed_while_it_goes_on_has_no_more_epochs",),
    ),
    Mutant(
        "the summary at the end of a training is in no epoch",
        HF,
        'if "train_runtime" in logs or logs is self._last:',
        "if logs is self._last:",
        ("transformers::test_what_was_not_logged_is_absent",),
    ),
    Mutant(
        "a last epoch of one step of very many",
        HF,
        "_LESS_THAN_A_STEP = 1e-9 ",
        "_LESS_THAN_A_STEP = 1e-2 ",
        ("transformers::test_a_last_epoch_of_a_single_step_of_very_many_is_an_epoch",),
    ),
    Mutant(
        "no number of epochs where it is infinite",
        HF,
        "0 < epochs < _MAX_EPOCHS",
        "0 < epochs",
        ("transformers::test_unusual_lengths_of_training",),
    ),
    Mutant(
        "NaN travels as a string",
        RUN,
        'if isinstance(value, (bool, int, float)) or value in ("NaN", "Infinity", "-Infinity")',
        "if isinstance(value, (bool, int, float))",
        ("lightning_metrics::test_a_diverged_epoch_says_so",),
    ),
    # --- batches and samples
    Mutant(
        "size of a batch known: only from a loader of torch's own",
        BATCHES,
        "if data is None or type(loader) is not data.DataLoader or any(map(_changes_batches, makers)):",
        "if data is None or any(map(_changes_batches, makers)):",
        ("lightning_batches::test_what_the_steps_got_is_counted[own loader]",),
    ),
    Mutant(
        "size of a batch known: not where a hook may change it",
        BATCHES,
        " or any(map(_changes_batches, makers)):",
        ":",
        (
            "lightning_batches::test_a_module_may_change_a_batch_before_it_trains_on_it",
            "lightning_batches::test_a_data_module_may_change_a_batch_before_it_is_trained_on",
        ),
    ),
    Mutant(
        "size of a batch known: not where `collate_fn` may leave samples out",
        BATCHES,
        " or loader.collate_fn is not data.default_collate:",
        ":",
        ("lightning_batches::test_what_the_steps_got_is_counted[own collate]",),
    ),
    Mutant(
        "size of a batch known: not where a sampler may end early",
        BATCHES,
        'if not _is_of(type(batches.sampler), "torch.utils.data.") or not _gives_all(dataset):',
        "if not _gives_all(dataset):",
        ("lightning_batches::test_what_the_steps_got_is_counted[sampler that ends early]",),
    ),
    Mutant(
        "size of a batch known: not where a data set gives whole batches",
        BATCHES,
        "return whole_batches is None or",
        "return True or",
        ("lightning_batches::test_what_the_steps_got_is_counted[asked for whole batches]",),
    ),
    Mutant(
        "size of a batch known: not of the last, partial one",
        BATCHES,
        "len(batches.sampler) // batches.batch_size)",
        "-(-len(batches.sampler) // batches.batch_size))",
        ("lightning_batches::test_what_the_steps_got_is_counted[partial last batch]",),
    ),
    Mutant(
        "size of a batch known: only if the first has it",
        LIGHTNING,
        "if count.batches == 1 and size == full.size:",
        "if count.batches == 1 and (size := full.size):",
        ("lightning_batches::test_batches_without_a_tensor_are_counted_and_their_samples_unknown",),
    ),
    Mutant(
        "an epoch that a checkpoint left in its midst has its time",
        LIGHTNING,
        "        self._argus_run.footprint.epoch_began()\n",
        "",
        (
            "lightning_batches::"
            "test_a_training_that_goes_on_in_the_midst_of_an_epoch_counts_what_is_left_of_it",
        ),
    ),
    Mutant(
        "an epoch that was cut off is not counted with the next training",
        STAGES,
        "self._validation_began_at = None\n        self.count.clear()",
        "self._validation_began_at = None",
        ("core/footprint::test_an_epoch_that_a_new_training_cuts_off_is_not_counted",),
    ),
    Mutant(
        "batches outside a training are in no column",
        STAGES,
        "if self._began_at is not None:  # else",
        "if True:  # else",
        ("core/footprint::test_what_comes_after_the_training_changes_nothing_of_it",),
    ),
    # --- the same callback, listed twice
    Mutant(
        "listed twice: a training begins once",
        RUN,
        "if self._training_just_began and self.is_job_of(model):",
        "if False:",
        ("keras::test_however_the_callback_is_listed_it_reports_once",),
    ),
    Mutant(
        "listed twice: an epoch ends once",
        RUN,
        "elif epoch + self._epoch_offset == self._last_epoch:",
        "elif False:",
        ("keras::test_however_the_callback_is_listed_it_reports_once",),
    ),
    Mutant(
        "listed twice: a test ends once",
        RUN,
        'if self.state != "testing":\n            return  # the same',
        'if self.state == "idle":\n            return  # the same',
        ("lightning::test_a_callback_that_is_listed_twice_reports_once",),
    ),
    Mutant(
        "listed twice: a Lightning batch ends once",
        LIGHTNING,
        "if batch_idx == count.last:",
        "if False:",
        ("lightning::test_a_callback_that_is_listed_twice_reports_once",),
    ),
    Mutant(
        "listed twice: an evaluation of Transformers ends once",
        HF,
        "        if metrics is self._argus_last_metrics:\n            return  # the",
        "        if False:\n            return  # the",
        ("transformers_jobs::test_a_callback_that_is_listed_twice_reports_once",),
    ),
    Mutant(
        "listed twice: a step of Transformers ends once",
        HF,
        "if step == count.last:",
        "if False:",
        ("transformers_jobs::test_a_callback_that_is_listed_twice_reports_once",),
    ),
    Mutant(
        "listed twice: an evaluation batch of Transformers ends once",
        HF,
        "def batch_ended(self) -> bool:\n        self._ends += 1\n        return self._ends %",
        "def batch_ended(self) -> bool:\n        self._ends += self._listed\n        return self._ends %",
        ("transformers::test_latencies_are_those_of_the_batches",),
    ),
    Mutant(
        "listed twice: a result of Accelerate is one",
        ACCELERATE,
        'if run.state == "done" and result == self._argus_result:',
        "if False:",
        ("accelerate::test_a_tracker_that_is_listed_twice_reports_once",),
    ),
    # --- validation or test
    Mutant(
        "`job_done` waits for the module's own hook: Lightning",
        LIGHTNING,
        "def on_test_end(",
        "def on_test_epoch_end(",
        ("lightning::test_what_a_module_logs_after_the_callbacks_belongs_to_its_epoch_and_its_test",),
    ),
    Mutant(
        "frame test for validation, not a flag: Transformers",
        HF,
        'return find_frame("_inner_training_loop", "") is not None',
        "return True",
        ("transformers_jobs::test_an_evaluation_after_a_failure_is_a_test_and_makes_the_job_done",),
    ),
    Mutant(
        "frame test for validation, whose state: Transformers",
        HF,
        'return any(getattr(trainer, "state", None) is state for trainer in trainers)',
        "return any(True for trainer in trainers)",
        ("transformers_jobs::test_an_evaluation_of_another_model_in_a_callback_is_a_test_of_that_model",),
    ),
    Mutant(
        "frame test for `predict()` in a training: Transformers",
        HF,
        "        if self._argus_is_training(state):\n            self._argus_run.footprint.discard_test()",
        "        if False:\n            self._argus_run.footprint.discard_test()",
        ("transformers::test_an_evaluation_by_a_callback_during_training_is_a_validation",),
    ),
    Mutant(
        "frame test for validation, not a flag: Keras",
        KERAS,
        "if _fit_frame() is not None or self._argus_is_in_custom_loop:",
        'if self._argus_run.state == "training":',
        ("keras::test_an_evaluation_after_a_failure_is_a_test_and_makes_the_job_done",),
    ),
    Mutant(
        "module name in the frame test: a user's own `fit`",
        KERAS,
        'return find_frame("fit", "keras")',
        'return find_frame("fit", "")',
        ("keras::test_a_users_own_function_called_fit_is_no_training",),
    ),
    Mutant(
        "module name in the frame test: the whole name of the package",
        FRAMES,
        'prefix = package + "." if package else ""',
        "prefix = package",
        ("keras::test_a_function_called_fit_in_a_module_that_is_called_after_keras_is_no_training",),
    ),
    Mutant(
        "a loop of the user's own that calls the hooks of Keras",
        KERAS,
        "if _fit_frame() is not None or self._argus_is_in_custom_loop:",
        "if _fit_frame() is not None:",
        ("keras::test_a_loop_of_the_users_own_that_calls_the_hooks_validates_and_tests_too",),
    ),
    Mutant(
        "`final_stage` leaves the other one out",
        HF,
        'if wanted not in ("auto", stage):',
        "if False:",
        ("transformers::test_final_stage_can_ignore_the_other_one",),
    ),
    Mutant(
        "Accelerate: no name of a metric makes it a result",
        ACCELERATE,
        "        if final:\n            self._argus_done(values, None)",
        '        if final or any(name.startswith("test") for name in values):\n'
        "            self._argus_done(values, None)",
        ("accelerate::test_no_name_of_a_metric_makes_it_a_result",),
    ),
    Mutant(
        "merged revisions",
        RUN,
        "self.metrics.update(stage.metrics)",
        "self.metrics = dict(stage.metrics)",
        ("lightning::test_a_second_test_revises_the_row_with_the_merged_metrics",),
    ),
    # --- failure
    Mutant(
        "failure only for announced jobs",
        RUN,
        'if self._job is None or self.state in ("idle", "failed"):',
        'if self.state == "failed":',
        ("lightning_failures::test_what_breaks_before_training_begins_announces_nothing",),
    ),
    Mutant(
        "failed once",
        RUN,
        '        if self._job.status in ("failed", "interrupted"):\n            self.state = "failed"',
        '        if False:\n            self.state = "failed"',
        ("keras_jobs::test_a_failure_that_the_batch_has_reported_is_not_reported_again",),
    ),
    Mutant(
        "a later failure takes nothing from a result",
        RUN,
        '        if self._result.metrics:\n            self.state = "done"\n            return\n',
        "",
        ("lightning::test_one_more_test_that_fails_takes_nothing_from_a_result",),
    ),
    Mutant(
        "re-arm after failure: a test that fails again is said again",
        RUN,
        '            self._job.status = "running"\n        self._seen_error',
        "            pass\n        self._seen_error",
        ("lightning::test_a_test_that_fails_again_gives_its_own_reason",),
    ),
    Mutant(
        "re-arm after failure: a fit is a new job",
        RUN,
        'continues = self.state in ("training", "trained") and',
        'continues = self.state in ("training", "trained", "failed") and',
        ("lightning_failures::test_a_failed_job_that_is_fitted_again_is_a_new_job",),
    ),
    Mutant(
        "a training that ended unseen is reported by the next",
        RUN,
        "            if failed_silently:\n                self._fail_silently()\n        self.send_epoch()",
        "        self.send_epoch()",
        ("transformers_jobs::test_without_with_the_next_training_reports_the_failure_of_the_last",),
    ),
    Mutant(
        "an older error is not blamed",
        RUN,
        "if error is not None and error is not self._seen_error:",
        "if error is not None:",
        ("keras_jobs::test_an_error_from_before_a_training_is_not_what_ended_it",),
    ),
    Mutant(
        "`auto_find_batch_size` begins again and has not failed",
        HF,
        "failed_silently=not args.auto_find_batch_size,",
        "failed_silently=True,",
        ("transformers_jobs::test_a_training_that_runs_out_of_memory_begins_again_as_the_same_job",),
    ),
    Mutant(
        "`find_executable_batch_size` begins again and has not failed",
        ACCELERATE,
        "failed_silently=not _is_retry(),",
        "failed_silently=True,",
        ("accelerate::test_a_retry_with_fewer_samples_is_the_same_job",),
    ),
    Mutant(
        "another model's fit that never began fails no job",
        LIGHTNING,
        'if self._argus_run.state == "trained" and is_of_another_job:',
        "if False:",
        ("lightning_failures::test_another_models_fit_that_never_begins_takes_nothing_from_the_job_before",),
    ),
    Mutant(
        "`with cb:` reports an exception",
        CALLBACK,
        "        if error is not None:\n            self.close(error)",
        "        if False:\n            self.close(error)",
        ("keras::test_inside_with_an_exception_fails_the_job",),
    ),
    Mutant(
        "a typing error in a later cell fails no job",
        RUN,
        'if watched is None or watched.state not in ("training", "testing"):',
        "if watched is None:",
        ("transformers_processes::test_a_typing_error_in_a_later_cell_fails_no_job",),
    ),
    Mutant(
        "sklearn: Ctrl-C is raised",
        SKLEARN,
        'if on_error == "raise" or not isinstance(error, Exception):',
        'if on_error == "raise":',
        ("sklearn::test_ctrl_c_ends_everything_and_interrupts_the_job",),
    ),
    # --- which job
    Mutant(
        "another model is another job",
        RUN,
        'in ("training", "trained") and self.is_job_of(model) and not new_job',
        'in ("training", "trained") and not new_job',
        ("transformers_jobs::test_each_training_of_a_new_model_is_a_job",),
    ),
    Mutant(
        "a fit after done is a new job",
        RUN,
        'continues = self.state in ("training", "trained") and',
        'continues = self.state in ("training", "trained", "done") and',
        ("keras_jobs::test_a_fit_after_an_evaluation_is_a_new_job",),
    ),
    Mutant(
        "a test belongs to the job of its model",
        RUN,
        'if self.state == "training" or self.is_job_of(model):\n            return',
        "if True:\n            return",
        ("keras_jobs::test_models_that_are_tested_when_all_are_trained_get_their_own_results",),
    ),
    Mutant(
        "a trained job may be tested through a loaded model",
        RUN,
        "not self.is_job_of(model) and not self._job_was_trained",
        "not self.is_job_of(model)",
        ("keras_jobs::test_the_result_of_a_loaded_checkpoint_revises_that_of_the_training",),
    ),
    Mutant(
        "a new job for each trial of a search",
        HF,
        "new_job=bool(state.is_hyper_param_search),",
        "new_job=False,",
        ("transformers_jobs::test_trials_that_are_tested_do_not_end_the_batch",),
    ),
    # --- copies
    Mutant(
        "statelessness: nothing of ours in a checkpoint",
        LIGHTNING,
        "    # --- failure ------",
        "    def state_dict(self) -> dict[str, Any]:\n"
        '        return {"job_id": self.job_id}\n\n'
        "    # --- failure ------",
        ("lightning::test_the_best_checkpoint_can_be_tested_and_holds_nothing_of_the_callback",),
    ),
    Mutant(
        "the token is not pickled",
        RUN,
        '"options": replace(self._options, token=None),',
        '"options": self._options,',
        ("lightning::test_a_pickle_is_the_same_job_and_keeps_no_token",),
    ),
    Mutant(
        "a pickle carries no model",
        CALLBACK,
        'if not name.startswith("_argus") and name not in _FRAMEWORKS_OWN',
        'if not name.startswith("_argus")',
        ("keras_jobs::test_a_pickle_after_fit_holds_no_model",),
    ),
    Mutant(
        "a deep copy has a job id of its own",
        RUN,
        "twin._first_job_id = unique if self._options.job_id else self._next_job_id()",
        "del unique",
        ("lightning::test_a_deep_copy_is_another_job_of_the_batch",),
    ),
    Mutant(
        "deep copies share one batch",
        RUN,
        "twin._batch = self._batch if os.getpid() == self._owner_pid else _Batch(self._options.batch)",
        "twin._batch = _Batch(self._options.batch)",
        ("keras_jobs::test_deep_copies_are_jobs_of_one_batch_that_is_announced_and_closed_once",),
    ),
    Mutant(
        "deep copies that did not end have failed when their batch ends",
        RUN,
        "        self._fail_copies()\n        self._close_implicit_batch(error)",
        "        self._close_implicit_batch(error)",
        ("keras_tuner::test_a_trial_that_fails_is_a_failed_job_and_the_search_goes_on",),
    ),
    Mutant(
        "no model is kept alive",
        RUN,
        "return weakref.ref(model)",
        "return lambda: model",
        ("transformers_jobs::test_the_model_is_not_kept_alive",),
    ),
    Mutant(
        "no tested model is kept alive",
        RUN,
        "        self.footprint.model = None  # a callback keeps no model alive\n",
        "",
        ("keras_jobs::test_a_callback_keeps_no_tested_model_alive_but_the_last",),
    ),
    Mutant(
        "one class for both Lightnings",
        LIGHTNING,
        "    if later:\n",
        "    if False:\n",
        ("processes::test_the_callback_may_be_imported_before_both_lightnings",),
    ),
    # --- the batch
    Mutant(
        "the batch closes once",
        RUN,
        "        self._batch.is_closed = True\n",
        "",
        ("keras_jobs::test_an_untested_job_that_began_after_the_end_of_the_batch_is_warned_about",),
    ),
    Mutant(
        "an untested job that the end of its batch did not name",
        RUN,
        'elif self.state == "trained" and not self._batch_names_it:',
        "elif False:",
        ("keras_jobs::test_an_untested_job_that_began_after_the_end_of_the_batch_is_warned_about",),
    ),
    Mutant(
        "a batch that is shared is not closed by a job",
        RUN,
        "if self._options.batch is not None or self._batch.is_closed or os.getpid() != self._owner_pid:",
        "if self._batch.is_closed or os.getpid() != self._owner_pid:",
        ("keras::test_jobs_of_a_reporter_share_its_batch",),
    ),
    Mutant(
        "a shared batch does not end before its jobs have failed",
        RUN,
        'if error is None and self.state in ("training", "testing"):\n            self._fail_silently()',
        "if False:\n            self._fail_silently()",
        ("sweeps::test_a_job_whose_exception_is_caught_has_failed_and_the_batch_goes_on",),
    ),
    Mutant(
        "the result of a trial does not end the batch",
        RUN,
        "        if not self._is_trial:\n            self._close_implicit_batch(None)",
        "        self._close_implicit_batch(None)",
        ("transformers_jobs::test_trials_that_are_tested_do_not_end_the_batch",),
    ),
    Mutant(
        "owner pid: only the process that made the callback closes the batch",
        RUN,
        "if self._options.batch is not None or self._batch.is_closed or os.getpid() != self._owner_pid:",
        "if self._options.batch is not None or self._batch.is_closed:",
        ("processes::test_two_processes_tell_one_story[ddp_spawn]",),
    ),
    Mutant(
        "owner pid: the batch knows it too",
        RUN,
        "self._batch.reporter.owner_pid = self._owner_pid",
        "pass",
        ("processes::test_two_processes_tell_one_story[ddp_spawn]",),
    ),
    Mutant(
        "the sidecar: what one child measured and another reports",
        SIDECAR,
        "    return data if isinstance(data, dict) else None",
        "    return None",
        ("processes::test_two_processes_tell_one_story[ddp_spawn]",),
    ),
    Mutant(
        "the sidecar may be impossible",
        SIDECAR,
        "except OSError as error:",
        "except KeyError as error:",
        ("processes::test_children_that_cannot_leave_a_file_report_all_the_same",),
    ),
    Mutant(
        "a child without `atexit` waits for the server",
        RUN,
        "        if os.getpid() != self._owner_pid:\n            self.flush()",
        "        return",
        ("processes::test_a_child_that_ends_without_atexit_has_sent_its_training",),
    ),
    # --- manners
    Mutant(
        "hooks of Transformers return None",
        HF,
        "        self._argus_run.epoch_began()",
        "        self._argus_run.epoch_began()\n        return control",
        ("transformers::test_every_hook_returns_none",),
    ),
    Mutant(
        "the Trainer's metrics are the user's",
        HF,
        '        seconds = metrics.get(f"{prefix}_runtime")\n        run',
        '        seconds = metrics.pop(f"{prefix}_runtime")\n        run',
        ("transformers::test_the_users_dicts_and_the_control_are_not_touched",),
    ),
    Mutant(
        "`async_safe` in `fit`",
        KERAS,
        "return _fit_frame() is not None\n",
        "return False\n",
        ("keras::test_training_stays_asynchronous_and_the_test_is_synchronous",),
    ),
    Mutant(
        "`async_safe` not in `evaluate`",
        KERAS,
        "return _fit_frame() is not None\n",
        "return True\n",
        ("keras::test_training_stays_asynchronous_and_the_test_is_synchronous",),
    ),
    Mutant(
        "listed twice: a Keras batch ends once",
        KERAS,
        "if ended <= known:",
        "ended = known + 1\n                if False:",
        ("keras_data::test_batches_that_end_out_of_order_in_several_threads_are_each_counted_once",),
    ),
    Mutant(
        "`fast_dev_run` is flagged",
        LIGHTNING,
        'extra={"fast_dev_run": True} if trainer.fast_dev_run else {},',
        "extra={},",
        ("lightning::test_a_fast_dev_run_is_flagged",),
    ),
    Mutant(
        "`fast_dev_run` is flagged in the result too",
        RUN,
        'self._extra = {name: value for name, value in facts.extra.items() if name == "fast_dev_run"}',
        "self._extra = {}",
        ("lightning::test_a_fast_dev_run_is_flagged",),
    ),
    Mutant(
        "a path in a model's name stays at home",
        HF,
        'base = PurePath(name.replace("\\\\", "/")).name if isinstance(name, str) else ""',
        'base = name or ""',
        ("transformers_jobs::test_a_model_is_called_by_the_last_part_of_its_checkpoint",),
    ),
    Mutant(
        "sklearn: what a scorer has negated is turned back",
        SKLEARN,
        "sign * scorer(e, x, y)",
        "scorer(e, x, y)",
        ("sklearn::test_scorers_of_probabilities_ask_the_estimator",),
    ),
    Mutant(
        "the first latencies are a warm-up",
        STAGES,
        "if len(self._first) < self._warmup:",
        "if False:",
        ("core/footprint::test_the_first_batch_is_left_out_of_latencies_when_there_are_enough",),
    ),
    Mutant(
        "absent, not zero",
        FOOTPRINT,
        "for name, value in measured.items() if value}",
        "for name, value in measured.items()}",
        ("core/footprint::test_what_was_not_measured_is_absent",),
    ),
]


class Broken(Exception):
    """A mutant that cannot be tried."""


class Tree:
    """A copy of the packages and the tests, in which tests import nothing of the checkout."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, directory / name)
        python_path = os.pathsep.join((str(directory), str(directory / "server")))
        # Without byte code: a mutant may have the size and the time of what it replaces.
        self.environment = {**os.environ, "PYTHONPATH": python_path, "PYTHONDONTWRITEBYTECODE": "1"}

    def failing_test(self, tests: Iterable[str], timeout_s: float | None = None) -> str | None:
        """Return the first of these tests that fails, None if they all pass.

        Raises:
            Broken: they cannot be run.
            TimeoutExpired: they took longer than `timeout_s`.
        """
        options = ("-q", "-x", "--tb=no", "-rfE", "-p", "no:cacheprovider")
        process = subprocess.run(  # noqa: S603 - our own tests
            [sys.executable, "-m", "pytest", *options, *map(_node, tests)],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        if process.returncode == 0:
            return None
        found = re.search(r"^(?:FAILED|ERROR) \S+?::(.+?)(?: - |$)", process.stdout, re.MULTILINE)
        if process.returncode != 1 or found is None:
            raise Broken(f"pytest ended with {process.returncode}:\n{process.stdout}{process.stderr}")
        return found[1]

    def is_imported(self) -> bool:
        """Whether the tests import this copy."""
        where = "import argus_core, argus_integrations as i; print(argus_core.__file__, i.__file__)"
        command = [sys.executable, "-c", where]
        output = subprocess.check_output(  # noqa: S603
            command, cwd=self.directory, env=self.environment, text=True
        )
        return all(path.startswith(str(self.directory)) for path in output.split())

    def killer(self, mutant: Mutant) -> str | None:
        """Return the test that fails without the guard, None if none does.

        Raises:
            Broken: the place is not there, or stands there twice.
        """
        path = self.directory / mutant.path
        whole = path.read_text(encoding="utf-8")
        if whole.count(mutant.old) != 1:
            raise Broken(f"stands {whole.count(mutant.old)} times in {mutant.path}: {mutant.old}")
        changed = whole.replace(mutant.old, mutant.new)
        compile(changed, mutant.path, "exec")
        path.write_text(changed, encoding="utf-8")
        try:
            return self.failing_test(mutant.tests, TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return f"(hung for {TIMEOUT_S} s)"
        finally:
            path.write_text(whole, encoding="utf-8")


def _node(test: str) -> str:
    module, _, name = test.partition("::")
    suite, _, module = module.rpartition("/")
    return f"tests/{'unit/' + suite if suite else 'integration'}/test_{module}.py::{name}"


@click.command()
@click.argument("words", nargs=-1)
def main(words: tuple[str, ...]) -> None:
    """Try every mutant, or those whose guard holds one of WORDS."""
    mutants = [mutant for mutant in MUTANTS if not words or any(word in mutant.guard for word in words)]
    with tempfile.TemporaryDirectory() as directory:
        tree = Tree(Path(directory).resolve())
        if not tree.is_imported():
            raise click.ClickException("the tests would import another Argus than the copy")
        failed = tree.failing_test(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
        if failed is not None:
            raise click.ClickException(f"{failed} fails without any mutant")
        click.echo("| guard | where | killed by |\n| --- | --- | --- |")
        bad = 0
        for mutant in mutants:
            try:
                killer = tree.killer(mutant)
                killed_by = f"`{killer}`" if killer else "**SURVIVED**"
            except Broken as error:
                killer, killed_by = None, "**NOT TRIED**"
                click.echo(f"{mutant.guard}: {error}", err=True)
            bad += killer is None
            click.echo(f"| {mutant.guard} | `{mutant.path}` | {killed_by} |")
    click.echo(f"\n{len(mutants) - bad} of {len(mutants)} guards are tested.")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
