"""`argus_integrations.transformers` under the trainers that others derive from the Trainer: tiny and real."""

from __future__ import annotations

import inspect

import datasets
import peft
import pytest
import sentence_transformers
import trl
from integration.tiny_trainer import FIT_AND_TEST
from sentence_transformers.sentence_transformer.evaluation import EmbeddingSimilarityEvaluator
from sentence_transformers.sentence_transformer.losses import CoSENTLoss
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Trainer,
)

from argus_integrations.transformers import ArgusCallback

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "yes", "no"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[EOS]"]
ROWS = 8

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def tokenizer():
    words = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]")
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        eos_token="[EOS]",
        bos_token="[CLS]",
        model_max_length=16,
    )


TINY = {
    "vocab_size": len(SPECIAL + WORDS),
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}


def llama(**options):
    return LlamaConfig(num_key_value_heads=2, bos_token_id=2, eos_token_id=4, **TINY, **options)


def options(tmp_path, **more):
    return {
        "output_dir": str(tmp_path),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "eval_strategy": "epoch",
        "logging_strategy": "epoch",
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "seed": 5,
        **more,
    }


def texts():
    return datasets.Dataset.from_dict(
        {"text": ["the cat sat on the mat", "a dog ran under a tree"] * (ROWS // 2)}
    )


def preferences():
    rows = {"prompt": ["the cat"], "chosen": [" sat on the mat"], "rejected": [" ran no"]}
    return datasets.Dataset.from_dict({name: values * ROWS for name, values in rows.items()})


def sft(tokenizer, tmp_path, cb, **more):
    return trl.SFTTrainer(
        model=LlamaForCausalLM(llama()),
        args=trl.SFTConfig(max_length=16, **options(tmp_path)),
        train_dataset=texts(),
        eval_dataset=texts(),
        processing_class=tokenizer,
        callbacks=[cb],
        **more,
    )


def dpo(tokenizer, tmp_path, cb):
    return trl.DPOTrainer(
        model=LlamaForCausalLM(llama()),
        ref_model=LlamaForCausalLM(llama()),
        args=trl.DPOConfig(max_length=16, **options(tmp_path)),
        train_dataset=preferences(),
        eval_dataset=preferences(),
        processing_class=tokenizer,
        callbacks=[cb],
    )


def reward(tokenizer, tmp_path, cb):
    return trl.RewardTrainer(
        model=LlamaForSequenceClassification(llama(num_labels=1)),
        args=trl.RewardConfig(max_length=16, **options(tmp_path)),
        train_dataset=preferences(),
        eval_dataset=preferences(),
        processing_class=tokenizer,
        callbacks=[cb],
    )


def sentence_pairs():
    rows = {"sentence1": ["the cat", "a dog"], "sentence2": ["a cat", "the tree"], "score": [1.0, 0.0]}
    return datasets.Dataset.from_dict({name: values * (ROWS // 2) for name, values in rows.items()})


def sentences(tokenizer, tmp_path, cb):
    saved = tmp_path / "bert-tiny"
    BertModel(BertConfig(**TINY)).save_pretrained(saved)
    tokenizer.save_pretrained(saved)
    transformer = Transformer(str(saved))
    model = sentence_transformers.SentenceTransformer(
        modules=[transformer, Pooling(TINY["hidden_size"])], device="cpu"
    )
    pairs = sentence_pairs()
    return sentence_transformers.SentenceTransformerTrainer(
        model=model,
        args=sentence_transformers.SentenceTransformerTrainingArguments(**options(tmp_path)),
        train_dataset=pairs,
        eval_dataset=pairs,
        loss=CoSENTLoss(model),
        evaluator=EmbeddingSimilarityEvaluator(
            pairs["sentence1"], pairs["sentence2"], pairs["score"], name="sts"
        ),
        callbacks=[cb],
    )


@pytest.mark.parametrize(
    ("make", "curve", "column", "model"),
    [
        (sft, "eval_mean_token_accuracy", "mean_token_accuracy", "LlamaForCausalLM"),
        (dpo, "eval_rewards/accuracies", "rewards/accuracies", "LlamaForCausalLM"),
        (reward, "eval_accuracy", "accuracy", "LlamaForSequenceClassification"),
        (sentences, "eval_sts_spearman_cosine", "sts_spearman_cosine", "bert-tiny"),
    ],
)
def test_a_trainer_that_derives_from_the_trainer_tells_the_same_story(
    sent, story, data_of, tokenizer, tmp_path, make, curve, column, model
):
    cb = ArgusCallback(dataset="tiny")
    t = make(tokenizer, tmp_path, cb)

    t.train()
    measured = t.evaluate()

    assert story(sent) == FIT_AND_TEST
    assert data_of(sent, "job_start").items() >= {"model": model, "seed": 5, "epochs_total": 2}.items()
    epochs = [event.data for event in sent.of_type("job_epoch")]
    losses = [entry["loss"] for entry in t.state.log_history if "loss" in entry]
    assert [epoch["train_loss"] for epoch in epochs] == losses
    assert all(epoch.keys() >= {"val_loss", "lr", "batch_time_ms", curve} for epoch in epochs)
    done = data_of(sent, "job_done")
    assert done["metrics"]["loss"] == measured["eval_loss"]
    logged = [entry for entry in t.state.log_history if curve in entry][-1]
    assert done["metrics"][column] == logged[curve]
    assert not any(name.startswith("eval_") for name in done["metrics"])
    assert done["metrics"]["Total_Batches"] == 2 * ROWS / 4
    assert round(done["metrics"]["Inference_Throughput"] * done["metrics"]["Total_Inference_Time"]) == ROWS


def test_metrics_that_trl_adds_to_its_log_are_in_the_row_whatever_the_prefix(
    sent, story, data_of, tokenizer, tmp_path
):
    t = sft(tokenizer, tmp_path, ArgusCallback())

    t.train()
    t.evaluate(metric_key_prefix="held_out")

    metrics = data_of(sent, "job_done")["metrics"]
    assert story(sent) == FIT_AND_TEST
    assert metrics.keys() >= {"loss", "mean_token_accuracy", "entropy"}
    assert not any(name.startswith(("eval_", "held_out_")) for name in metrics)


def test_a_prediction_and_a_dict_of_data_sets_of_trl_are_rows_too(sent, story, data_of, tokenizer, tmp_path):
    cb = ArgusCallback()
    t = sft(tokenizer, tmp_path, cb)
    prepared = t.eval_dataset

    t.train()
    t.predict(prepared)
    t.evaluate({"near": prepared, "far": prepared})
    cb.flush()

    assert story(sent) == [*FIT_AND_TEST, "job_done", "job_done"]
    assert data_of(sent, "job_done")["metrics"].keys() >= {"loss", "loss@near", "mean_token_accuracy@far"}


def test_an_adapter_is_counted_apart_from_its_model(sent, data_of, tokenizer, tmp_path):
    t = sft(tokenizer, tmp_path, ArgusCallback(), peft_config=peft.LoraConfig(r=2, target_modules=["q_proj"]))

    t.train()
    t.evaluate()

    metrics = data_of(sent, "job_done")["metrics"]
    assert metrics["Model_Params_Trainable"] == 2 * 2 * TINY["hidden_size"]
    assert metrics["Model_Params"] == sum(parameter.numel() for parameter in t.model.parameters())


def test_a_hub_data_set_gives_its_name(sent, data_of, tokenizer, tmp_path):
    t = sft(tokenizer, tmp_path, ArgusCallback())
    t.train_dataset.info.dataset_name = "tiny-stories"

    t.train()
    t.evaluate()

    assert data_of(sent, "job_start")["dataset"] == "tiny-stories"


@pytest.mark.parametrize(
    "trainer_class",
    [
        *("SFTTrainer", "DPOTrainer", "RewardTrainer", "KTOTrainer", "GRPOTrainer", "RLOOTrainer"),
        *("SentenceTransformerTrainer", "CrossEncoderTrainer", "SparseEncoderTrainer"),
    ],
)
def test_a_derived_trainer_takes_callbacks_and_calls_hooks_as_the_trainer_does(trainer_class):
    cls = getattr(trl, trainer_class, None) or getattr(sentence_transformers, trainer_class)

    assert issubclass(cls, Trainer)
    assert "callbacks" in inspect.signature(cls.__init__).parameters
    assert cls._inner_training_loop is Trainer._inner_training_loop
