"""Exports: every pair is accounted for, no prompt is in two splits, files read back equal, and TRL trains on them."""

import csv
import hashlib
import io
import json
import random
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exporting import (
    FORMATS,
    REASONS,
    SHAPES,
    SPLITS,
    Candidate,
    InvalidRow,
    Policy,
    Row,
    Shape,
    bundle,
    export,
    to_csv,
    to_jsonl,
    to_parquet,
    validate,
)
from core.records import CHOICES, Choice, Message, Prompt, Response

HALVES = (0.5, 0.25, 0.25)
MULTI_TURN = Prompt(
    (
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
    )
)
ODD = "line\u2028sep\u2029par\x85nel\x0b\x0c\x1c\x1f\x7f tab\t \"quoted\", 'single'\r\ncrlf\rcr\nlf 👩‍👩‍👧 é 漢字 \\n =1+1 \ufeff"


def candidate(
    pair_id: str = "x1",
    prompt: Prompt | str = "What is 2 + 2?",
    a: str = "4",
    b: str = "5",
    label: Choice | None = "a",
    votes: dict[Choice, int] | None = None,
    confidence: float | None = 0.9,
) -> Candidate:
    if isinstance(prompt, str):
        prompt = Prompt.from_text(prompt)
    votes = {label or "tie": 3} if votes is None else votes
    return Candidate(pair_id, prompt, Response(a, "model-a"), Response(b), votes, label, confidence)


def fate(*candidates: Candidate, **policy: Any) -> list[str]:
    result = export(candidates, Policy(splits=(1, 0, 0), **policy))
    return [result.fate[c.pair_id] for c in candidates]


def rows_of(*candidates: Candidate, **policy: Any) -> list[Row]:
    return export(candidates, Policy(splits=(1, 0, 0), **policy)).rows["train"]


texts = st.sampled_from(["", " ", "yes", "no", "no ", "maybe", ODD])
prompts = st.sampled_from(["Why?", "why ?", " WHY?\n", "How?", "When?", "Where?", "Who?", ""]).map(
    Prompt.from_text
) | st.just(MULTI_TURN)
candidates_lists = st.lists(
    st.builds(
        Candidate,
        pair_id=st.integers(0, 10_000).map(lambda i: f"x{i}"),
        prompt=prompts,
        response_a=texts.map(Response),
        response_b=texts.map(Response),
        votes=st.dictionaries(st.sampled_from([*CHOICES, "skip"]), st.integers(0, 4)),
        label=st.sampled_from([None, *CHOICES]),
        confidence=st.none() | st.floats(0, 1),
    ),
    unique_by=lambda c: c.pair_id,
    max_size=25,
)
policies = st.builds(
    Policy,
    shape=st.sampled_from(SHAPES),
    ties=st.sampled_from(["drop", "keep"]),
    splits=st.sampled_from([HALVES, (1, 0, 0), (0, 0.5, 0.5), (0.8, 0.1, 0.1)]),
    seed=st.integers(0, 5),
    min_votes=st.integers(0, 3),
    min_confidence=st.sampled_from([0.0, 0.5]),
    details=st.booleans(),
)


@given(candidates_lists, policies)
def test_report_adds_up_and_what_comes_out_is_valid(candidates: list[Candidate], policy: Policy) -> None:
    result = export(candidates, policy)
    report = result.report
    assert (
        report["pairs"]
        == len(candidates)
        == sum(report["exported"].values()) + sum(report["dropped"].values())
    )
    assert set(result.fate) == {c.pair_id for c in candidates}
    assert set(result.fate.values()) <= {*SPLITS, *REASONS}
    for split in SPLITS:
        validate(result.rows[split], policy.shape)
        assert report["rows"][split] == len(result.rows[split])
        if policy.shape.startswith("kto"):
            assert report["rows"][split] == 2 * report["exported"][split]
        elif policy.ties == "drop":
            assert report["rows"][split] == report["exported"][split]


@given(candidates_lists, policies)
def test_no_prompt_is_in_two_splits_and_no_answers_are_identical(
    candidates: list[Candidate], policy: Policy
) -> None:
    result = export(candidates, policy)
    splits_of: dict[str, set[str]] = {}
    for c in candidates:
        if (went := result.fate[c.pair_id]) in SPLITS:
            plain = json.dumps(["".join(m.content.lower().split()) for m in c.prompt.messages])
            splits_of.setdefault(plain, set()).add(went)
            assert c.response_a.text.strip() != c.response_b.text.strip()
    assert all(len(splits) == 1 for splits in splits_of.values())


@given(candidates_lists, policies, st.randoms())
def test_order_of_the_input_does_not_matter(
    candidates: list[Candidate], policy: Policy, order: random.Random
) -> None:
    shuffled = order.sample(candidates, len(candidates))
    assert export(shuffled, policy) == export(candidates, policy)


@given(candidates_lists, candidates_lists, policies)
def test_more_data_moves_no_prompt(old: list[Candidate], new: list[Candidate], policy: Policy) -> None:
    known = {c.pair_id for c in old}
    before = export(old, policy).fate
    after = export([*old, *(c for c in new if c.pair_id not in known)], policy).fate
    both = {(before[i], after[i]) for i in known if before[i] in SPLITS and after[i] in SPLITS}
    assert all(was == now for was, now in both)


def test_shares_are_met_and_another_seed_draws_other_splits() -> None:
    many = [candidate(f"x{i}", f"Prompt number {i}") for i in range(4000)]
    first, second = (export(many, Policy(splits=(0.8, 0.15, 0.05), seed=seed)) for seed in (1, 2))
    exported = first.report["exported"]
    assert abs(exported["train"] - 3200) < 100
    assert abs(exported["validation"] - 600) < 90
    assert first.fate != second.fate


@pytest.mark.parametrize(
    ("given_candidate", "reason"),
    [
        (candidate(votes={}), "no_annotations"),
        (candidate(votes={"skip": 4}), "no_annotations"),
        (candidate(votes={"a": 1}), "too_few_votes"),
        (candidate(label=None), "no_majority"),
        (candidate(label="skip", votes={"a": 3}), "no_majority"),
        (candidate(confidence=0.5), "low_confidence"),
        (candidate(confidence=None), "low_confidence"),
        (candidate(label="tie"), "tie"),
        (candidate(label="both_bad"), "both_bad"),
        (candidate(a=" \n"), "empty_text"),
        (candidate(prompt=" "), "empty_text"),
        (candidate(a="same", b="same\n"), "identical_answers"),
        (candidate(), "train"),
    ],
)
def test_each_reason(given_candidate: Candidate, reason: str) -> None:
    assert fate(given_candidate, min_votes=2, min_confidence=0.6) == [reason]


def test_duplicates_leave_once_and_contradictions_not_at_all() -> None:
    swapped = candidate("x2", a="5", b="4", label="b")
    assert fate(candidate("x1"), swapped) == ["train", "duplicate"]
    assert fate(candidate("x1"), swapped, candidate("x3", label="b")) == ["contradiction"] * 3
    assert fate(candidate("x1"), candidate("x2", label="tie")) == ["train", "tie"]
    assert fate(candidate("x1"), candidate("x2", label="tie"), ties="keep") == ["contradiction"] * 2
    assert fate(candidate("x1"), candidate("x2", prompt="Another?", label="b")) == ["train", "train"]


def test_a_pair_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="pair x1 is given more than once"):
        export([candidate("x1"), candidate("x1")], Policy())


@pytest.mark.parametrize(
    "bad", [{"splits": (0.5, 0.6, 0.1)}, {"splits": (1.5, -0.5, 0)}, {"shape": "dpo"}, {"ties": "maybe"}]
)
def test_policies_that_make_no_sense_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Policy(**bad)


def test_shapes_are_those_of_trl() -> None:
    user, four, five = (
        [{"role": r, "content": c}]
        for r, c in (("user", "What is 2 + 2?"), ("assistant", "4"), ("assistant", "5"))
    )
    assert rows_of(candidate(label="b")) == [{"prompt": "What is 2 + 2?", "chosen": "5", "rejected": "4"}]
    assert rows_of(candidate(), shape="conversational") == [
        {"prompt": user, "chosen": four, "rejected": five}
    ]
    for shape, prompt, good, bad in (
        ("kto", "What is 2 + 2?", "4", "5"),
        ("kto_conversational", user, four, five),
    ):
        rows = sorted(rows_of(candidate(), shape=shape), key=lambda row: row["label"])
        assert rows == [
            {"prompt": prompt, "completion": bad, "label": False},
            {"prompt": prompt, "completion": good, "label": True},
        ]
    assert rows_of(candidate(prompt=MULTI_TURN))[0]["prompt"] == (
        "System:\nBe brief.\n\nUser:\nHi\n\nAssistant:\nHello\n\nUser:\nBye\n\nAssistant:\n"
    )


def test_ties_and_both_bad() -> None:
    kept = rows_of(candidate(label="tie"), ties="keep")
    assert sorted((row["chosen"], row["rejected"]) for row in kept) == [("4", "5"), ("5", "4")]
    assert [row["label"] for row in rows_of(candidate(label="tie"), ties="keep", shape="kto")] == [True, True]
    assert [row["label"] for row in rows_of(candidate(label="both_bad"), shape="kto")] == [False, False]
    assert rows_of(candidate(label="tie"), shape="kto") == []


def test_details_name_the_pair_and_its_votes() -> None:
    voted = candidate(label="b", votes={"a": 1, "b": 4, "tie": 1, "skip": 2})
    common = {"pair_id": "x1", "category": "general", "confidence": 0.9, "votes": 6}
    assert rows_of(voted, details=True) == [
        {"prompt": "What is 2 + 2?", "chosen": "5", "rejected": "4", **common}
        | {"votes_chosen": 4, "votes_rejected": 1, "model_chosen": None, "model_rejected": "model-a"}
    ]
    good = next(row for row in rows_of(voted, shape="kto", details=True) if row["label"])
    assert good == {"prompt": "What is 2 + 2?", "completion": "5", "label": True, **common} | {
        "votes_completion": 4,
        "model_completion": None,
    }


@pytest.mark.parametrize(
    ("shape", "change", "field", "reason"),
    [
        ("preference", {"chosen": ""}, "chosen", "is empty"),
        ("preference", {"chosen": 4}, "chosen", "is not text"),
        ("preference", {"prompt": "a\0b"}, "prompt", "NUL"),
        ("preference", {"prompt": "a\ud800b"}, "prompt", "surrogate"),
        ("preference", {"rejected": "4"}, "rejected", "same as chosen"),
        ("preference", {"images": []}, "images", "not a column"),
        ("conversational", {"prompt": "text"}, "prompt", "not a list of messages"),
        ("conversational", {"prompt": [{"role": "human", "content": "hi"}]}, "prompt", "'human'"),
        ("conversational", {"prompt": [{"role": "user"}]}, "prompt", "role and a content"),
        ("conversational", {"prompt": [{"role": "assistant", "content": "hi"}]}, "prompt", "user's turn"),
        ("conversational", {"chosen": [{"role": "user", "content": "hi"}]}, "chosen", "assistant"),
        ("conversational", {"chosen": [{"role": "assistant", "content": ""}]}, "chosen", "is empty"),
        ("kto", {"label": 1}, "label", "true or false"),
    ],
)
def test_validation_names_row_and_field(shape: Shape, change: Row, field: str, reason: str) -> None:
    rows = rows_of(candidate("x1"), candidate("x2", prompt="Another?"), shape=shape)
    validate(rows, shape)
    rows[1] |= change
    with pytest.raises(InvalidRow, match=reason) as refused:
        validate(rows, shape)
    assert (refused.value.row, refused.value.field) == (2, field)


def test_validation_names_a_missing_column() -> None:
    with pytest.raises(InvalidRow, match="row 1, field rejected: is missing"):
        validate([{"prompt": "Why?", "chosen": "So."}], "preference")


words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1) | st.just(ODD)
real = st.builds(
    lambda prompt, a, b, label: candidate(prompt=prompt, a=f"a{a}", b=f"b{b}", label=label),
    st.builds(lambda text: Prompt((*MULTI_TURN.messages, Message("user", f"?{text}"))), words),
    words,
    words,
    st.sampled_from(["a", "b"]),
)


@settings(max_examples=40)
@given(real, st.sampled_from(SHAPES), st.booleans())
def test_files_read_back_equal(one: Candidate, shape: Shape, details: bool) -> None:
    rows = rows_of(one, shape=shape, details=details)
    lines = to_jsonl(rows).decode().splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert pq.read_table(io.BytesIO(to_parquet(rows))).to_pylist() == rows
    as_csv = [
        {
            k: json.dumps(v, ensure_ascii=False) if isinstance(v, list) else "" if v is None else str(v)
            for k, v in row.items()
        }
        for row in rows
    ]
    assert list(csv.DictReader(io.StringIO(to_csv(rows).decode(), newline=""))) == as_csv


def test_csv_reads_back_equal_in_pandas() -> None:
    rows = [
        {"prompt": ODD.replace("\ufeff", ""), "chosen": text, "rejected": "no"}
        for text in ("NA", "null", "1", "-", '"')
    ]
    frame = pd.read_csv(io.BytesIO(to_csv(rows)), dtype=str, keep_default_na=False)
    assert frame.to_dict("records") == rows


@pytest.mark.parametrize("fmt", FORMATS)
def test_bundle_holds_a_file_a_split_and_a_report_that_vouches_for_them(fmt: Any) -> None:
    pairs = [candidate(f"x{i}", f"Prompt {i}") for i in range(60)] + [candidate("y", label="tie")]
    result = export(pairs, Policy(splits=(0.8, 0.2, 0), seed=3))
    content = bundle(result, fmt)
    assert content == bundle(export(pairs[::-1], result.policy), fmt)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        report = json.loads(archive.read("report.json"))
        assert archive.namelist() == [f"train.{fmt}", f"validation.{fmt}", "report.json"]
        digests = {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()[:-1]}
    assert report["sha256"] == digests
    assert report["policy"]["seed"] == 3
    assert report["dropped"] == {"tie": 1}
    assert (report["pairs"], sum(report["exported"].values())) == (61, 60)


def test_100_000_pairs_add_up() -> None:
    filler = "The quick brown fox jumps over the lazy dog. " * 5
    prompts = [Prompt.from_text(f"{filler} {i}") for i in range(50_000)]
    labels: list[Choice | None] = ["a", "b", "tie", None]
    pairs = [
        candidate(f"x{i}", prompts[i // 2], f"{filler}{i}", f"{i}{filler}", labels[i % 4])
        for i in range(100_000)
    ]
    result = export(pairs, Policy())
    assert result.report["dropped"] == {"no_majority": 25_000, "tie": 25_000}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A byte-level tokenizer and a chat template, built in place."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = ["<pad>", "<eos>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_only = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=bytes_only, pad_token="<pad>", eos_token="<eos>")
    made.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    return made


@pytest.fixture
def pairs() -> list[Candidate]:
    labels: list[Choice] = ["a", "b", "both_bad"]
    plain = [
        candidate(f"x{i}", f"Question {i}?", f"Yes {i} 漢", f"No {i} \u2028", labels[i % 3])
        for i in range(12)
    ]
    return [*plain, candidate("y", MULTI_TURN, "Goodbye", "Yo")]


@pytest.mark.parametrize("shape", ["conversational", "kto_conversational"])
@pytest.mark.parametrize("details", [False, True])
def test_chat_templates_apply(shape: Shape, details: bool, tokenizer: Any, pairs: list[Candidate]) -> None:
    from trl.data_utils import apply_chat_template, is_conversational, maybe_apply_chat_template

    for row in rows_of(*pairs, shape=shape, details=details):
        assert is_conversational(row)
        flat = maybe_apply_chat_template(row, tokenizer)
        assert flat == apply_chat_template(row, tokenizer)
        last = row["prompt"][-1]["content"]
        assert flat["prompt"].endswith(f"user: {last}<eos>assistant: ")
        for field in ("chosen", "rejected") if shape == "conversational" else ("completion",):
            assert flat[field] == row[field][0]["content"] + "<eos>"


def test_text_shapes_pass_through_and_unpairing_a_preference_gives_the_kto_rows(
    pairs: list[Candidate],
) -> None:
    from datasets import Dataset
    from trl.data_utils import (
        extract_prompt,
        is_conversational,
        maybe_extract_prompt,
        maybe_unpair_preference_dataset,
    )

    for paired, unpaired in (("preference", "kto"), ("conversational", "kto_conversational")):
        rows = rows_of(*pairs, shape=paired)
        decided = [pair for pair in pairs if pair.label != "both_bad"]
        kto = rows_of(*decided, shape=unpaired)
        assert is_conversational(rows[0]) == (paired == "conversational")
        made = list(maybe_unpair_preference_dataset(Dataset.from_list(rows)))
        assert Counter(map(repr, sorted_items(made))) == Counter(map(repr, sorted_items(kto)))
        assert list(maybe_unpair_preference_dataset(Dataset.from_list(kto))) == kto
        for row in rows:
            assert maybe_extract_prompt(row) == row
    for row in rows_of(*pairs, shape="conversational"):
        assert extract_prompt({field: row["prompt"] + row[field] for field in ("chosen", "rejected")}) == row


def sorted_items(rows: list[Row]) -> list[list[tuple[str, Any]]]:
    return [sorted(row.items()) for row in rows]


@pytest.mark.parametrize("fmt", FORMATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_datasets_loads_the_bundle(fmt: Any, shape: Shape, tmp_path: Path, pairs: list[Candidate]) -> None:
    from datasets import load_dataset

    result = export(pairs, Policy(shape=shape, splits=HALVES, details=True))
    with zipfile.ZipFile(io.BytesIO(bundle(result, fmt))) as archive:
        archive.extractall(tmp_path)
    files = {split: str(tmp_path / f"{split}.{fmt}") for split in SPLITS if result.rows[split]}
    assert len(files) > 1
    builder = "json" if fmt == "jsonl" else fmt
    loaded = load_dataset(builder, data_files=files, cache_dir=str(tmp_path / "cache"))
    for split in files:
        rows = list(loaded[split])
        if fmt == "csv" and "conversational" in shape:
            rows = [
                {k: json.loads(v) if str(v).startswith("[") else v for k, v in row.items()} for row in rows
            ]
        assert rows == result.rows[split]


@pytest.mark.parametrize(
    ("trainer", "shape"),
    [
        ("DPO", "preference"),
        ("DPO", "conversational"),
        ("Reward", "preference"),
        ("Reward", "conversational"),
        ("KTO", "kto"),
        ("KTO", "kto_conversational"),
    ],
)
def test_trl_trains_on_it(
    trainer: str, shape: Shape, tokenizer: Any, tmp_path: Path, pairs: list[Candidate]
) -> None:
    """One step of the real trainer on a model built in place, details and all."""
    import trl
    from datasets import Dataset
    from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen2ForSequenceClassification

    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, pad_token_id=0, eos_token_id=1, num_labels=1,
    )  # fmt: skip
    model = Qwen2ForSequenceClassification if trainer == "Reward" else Qwen2ForCausalLM
    model(config).save_pretrained(tmp_path / "model")
    args = getattr(trl, f"{trainer}Config")(
        output_dir=str(tmp_path), max_steps=1, per_device_train_batch_size=4, report_to=[], use_cpu=True, bf16=False,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    rows = rows_of(*pairs, shape=shape, details=True)
    run = getattr(trl, f"{trainer}Trainer")(
        model=model.from_pretrained(tmp_path / "model"),
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
    )
    assert len(run.train_dataset) == len(rows)
    for prepared, row in zip(run.train_dataset, rows, strict=True):
        answer = row["completion" if "kto" in shape else "chosen"]
        answer = answer if isinstance(answer, str) else answer[0]["content"]
        ids = prepared["completion_ids" if "kto" in shape else "chosen_ids"]
        assert tokenizer.decode(ids).endswith(answer + "<eos>")
    assert run.train().training_loss > 0
