"""Training, calibrating, scoring and evaluating from a shell on bare files, with real processes and the real encoder."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from core.preferences import Rating
from core.rewards.base import MODEL_FILE, VotePredictor, describe, load, mark
from core.rewards.sbert import SbertReward
from jobs.__main__ import main
from jobs.protocol import Run, read_lines
from providers.encoder import encoder

ROOT = Path(__file__).resolve().parents[2]
Rows = Sequence[dict[str, Any]]
THINGS = ("the sea", "old trains", "a garden", "mathematics", "cold soup", "two dogs", "the moon", "a violin")
KIND = "Thank you for asking; here is a careful and friendly explanation of {}."
RUDE = "shut up about {}, you fool"


@dataclass(frozen=True)
class Shell:
    """A shell in which jobs run, with one data directory."""

    folder: Path

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, *arguments: object, **variables: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "ATTUNE_DATA_DIR": str(self.data), **variables}
        command = [sys.executable, "-m", "jobs", *map(str, arguments)]
        return subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *arguments: object, **variables: str) -> tuple[int, str]:
        process = self.start(*arguments, **variables)
        out, _ = process.communicate(timeout=300)
        return process.returncode, out

    def run_here(self, *arguments: object) -> tuple[int, str]:
        """The same without a process of its own, for what ends before it is heavy."""
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out, redirect_stderr(out):
            patch.chdir(ROOT)
            patch.setenv("ATTUNE_DATA_DIR", str(self.data))
            patch.setattr(sys, "argv", ["jobs", *map(str, arguments)])
            code = main()
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return code, out.getvalue()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, embeddings: Path) -> Shell:
    shell = Shell(tmp_path_factory.mktemp("shell"))
    shell.data.mkdir()
    (shell.data / "embeddings").symlink_to(embeddings)
    return shell


def write(path: Path, rows: Rows) -> Path:
    return write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def some_pairs(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Pairs of a friendly and a rude answer, of about one length; of ten votes about nine are for the friendly one."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        thing = f"{draw.choice(THINGS)} and {draw.choice(THINGS)}"
        votes = sum(draw.random() < 0.9 for _ in range(10))
        rows.append(
            {
                "pair_id": f"pair {seed} {i}",
                "prompt": f"Question {seed} {i} about {thing}?",
                "chosen": KIND.format(thing),
                "rejected": RUDE.format(thing),
                "votes_chosen": votes,
                "votes_rejected": 10 - votes,
                "category": draw.choice(["tone-a", "tone-b"]),
            }
        )
    return rows


@pytest.fixture(scope="module")
def data(shell: Shell) -> Path:
    return write(shell.folder / "pairs.jsonl", some_pairs(400))


@pytest.fixture(scope="module")
def trained(shell: Shell, data: Path) -> Path:
    output = shell.folder / "trained"
    code, out = shell.run(
        "train-reward", "--data", data, "--method", "sbert", "--output", output, "--seed", 3, "--no-refit"
    )
    assert code == 0, out
    return output


def result(output: Path) -> dict[str, Any]:
    found = Run(output).result()
    assert found is not None
    return found


def is_estimate(figure: dict[str, Any]) -> bool:
    return figure["low"] <= figure["value"] <= figure["high"] and figure["n"] > 0


def test_a_run_leaves_a_model_predictions_figures_and_its_settings(trained: Path, data: Path) -> None:
    figures = result(trained)
    assert figures["status"] == "done" and figures["accuracy"]["value"] > 0.9
    assert all(is_estimate(figures[name]) for name in ("accuracy", "log_loss", "ece", "brier"))
    assert {*figures["form"]} == {"embedding and surface", "embedding", "surface", "longer wins"}
    assert figures["calibrator"]["reason"] and {*figures["by_category"]} == {"tone-a", "tone-b"}
    assert sum(part["rows"] for part in figures["parts"].values()) == 400 == figures["total"]
    events = list(read_lines(trained / "events.jsonl"))
    assert events[-1]["event"] == "metric" and events[-2]["done"] == events[-2]["total"] > 0
    model = trained / "artifacts" / "model"
    assert {path.suffix for path in model.iterdir()} == {".json", ".safetensors"}
    assert not list((trained / "artifacts").glob(".model*"))
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["data"] == str(data) and config["seed"] == 3 and config["method"] == "sbert"


def test_the_model_kept_is_fitted_to_all_pairs_and_the_figures_are_not_its_own(
    trained: Path, shell: Shell, data: Path
) -> None:
    again = shell.folder / "refitted"
    code, out = shell.run("train-reward", "--data", data, "--output", again, "--seed", 3, "--learning-curve")
    assert code == 0, out
    curve = result(again)["learning_curve"]
    train = result(again)["parts"]["train"]["rows"]
    assert [point["labels"] for point in curve] == [
        round(train / 8),
        round(train / 4),
        round(train / 2),
        train,
    ]
    assert all(is_estimate(point["accuracy"]) for point in curve)
    assert curve[-1]["accuracy"] == result(again)["accuracy"] and curve[-1]["gain"]["n"] > 0
    assert result(again)["refitted"] and not result(trained)["refitted"]
    assert result(again)["accuracy"] == result(trained)["accuracy"]
    predictions, weights = ([(run / "artifacts" / name).read_bytes() for run in (trained, again)]
                            for name in ("predictions.parquet", "model/weights.safetensors"))  # fmt: skip
    assert predictions[0] == predictions[1] and weights[0] != weights[1]


def test_predictions_are_those_of_the_model_and_no_prompt_is_in_two_parts(
    trained: Path, shell: Shell
) -> None:
    frozen = pq.read_table(trained / "inputs" / "preferences.parquet").to_pylist()
    found = pq.read_table(trained / "artifacts" / "predictions.parquet").to_pylist()
    assert [row["pair_id"] for row in found] == [row["pair_id"] for row in frozen]
    predictor = load(trained, lambda name: encoder(name, shell.data / "embeddings"))
    texts = [[row[name] for row in frozen] for name in ("prompt", "response_a", "response_b")]
    assert np.allclose(predictor.predict(*texts), [row["probability"] for row in found])
    assert np.allclose(
        predictor.predict(texts[0], texts[2], texts[1]), [1 - row["probability"] for row in found]
    )
    parts: dict[str, set[str]] = {}
    for row in found:
        parts.setdefault(row["group"], set()).add(row["split"])
    assert all(len(names) == 1 for names in parts.values())
    test = [row for row in found if row["split"] == "test"]
    right = np.mean(
        [(row["probability"] > 0.5) == (row["target"] > 0.5) for row in test if row["target"] != 0.5]
    )
    assert result(trained)["accuracy"]["value"] == pytest.approx(right)


def test_the_resolved_settings_repeat_the_run_exactly(trained: Path, shell: Shell) -> None:
    again = shell.folder / "again"
    code, out = shell.run("train-reward", "--config", trained / "config.yaml", "--output", again)
    assert code == 0, out
    for name in ("model/weights.safetensors", "predictions.parquet"):
        assert (again / "artifacts" / name).read_bytes() == (trained / "artifacts" / name).read_bytes()


def test_a_run_directory_the_app_prepared(shell: Shell, trained: Path) -> None:
    run = Run.create(shell.folder / "prepared", "train-reward", {"method": "sbert", "surface": False})
    table = pq.read_table(trained / "inputs" / "preferences.parquet")
    table = table.append_column("annotations", pa.array([["a1"]] * len(table)))
    pq.write_table(table, run.inputs / "preferences.parquet")
    code, out = shell.run("train-reward", run.path)
    assert code == 0, out
    assert result(run.path)["accuracy"]["value"] > 0.9
    described = json.loads((run.artifacts / "model" / "reward.json").read_text())
    assert described["surface_features"] == []


def test_evaluate(trained: Path, shell: Shell) -> None:
    pairs = some_pairs(120, seed=1)
    pairs[0] |= {"chosen": "same", "rejected": "same"}
    pairs[1] |= {"votes_chosen": -1}
    output = shell.folder / "evaluated"
    file = write(shell.folder / "held.jsonl", pairs)
    code, out = shell.run("evaluate", "--model", trained, "--data", file, "--output", output)
    assert code == 0, out
    assert "row 1: the row: the two answers are identical" in out and "row 2: votes_chosen" in out
    figures = result(output)
    assert all(is_estimate(figures[name]) for name in ("accuracy", "log_loss", "ece"))
    report = (output / "report.html").read_text("utf-8")
    assert f"{figures['accuracy']['value']:.3f}" in report and f"{figures['ece']['value']:.3f}" in report
    assert figures["log_loss"]["n"] == figures["total"] == 118 and figures["left_out"]["count"] == 2
    assert figures["accuracy"]["value"] > 0.9

    again = shell.folder / "evaluated again"
    code, out = shell.run("evaluate", "--config", output / "config.yaml", "--output", again)
    assert code == 0 and result(again)["log_loss"] == figures["log_loss"], out
    assert yaml.safe_load((again / "config.yaml").read_text())["ties"] == "half"


@pytest.mark.parametrize(
    ("kind", "told", "said"),
    [
        ("score", "epochs: 3", "there is no setting 'epochs'"),
        ("calibrate", "ties: drop", "there is no setting 'ties'"),
        ("evaluate", "ties: maybe", "ties is 'maybe'; it must be one of half, drop."),
        ("evaluate", "- half", "must hold settings"),
    ],
)
def test_a_configuration_that_cannot_be(
    shell: Shell, tmp_path: Path, kind: str, told: str, said: str
) -> None:
    config = write_text(tmp_path / "config.yaml", told)
    code, out = shell.run_here(kind, "--config", config, "--output", tmp_path / "out")
    assert code == 1 and said in out and not (tmp_path / "out").exists()


def test_a_calibrator_is_kept_where_it_helps(trained: Path, shell: Shell) -> None:
    draw = random.Random(7)
    rows = some_pairs(300, seed=2)
    for row in rows:
        votes = sum(draw.random() < 0.6 for _ in range(10))
        row |= {"votes_chosen": votes, "votes_rejected": 10 - votes}
    output = shell.folder / "calibrated"
    file = write(shell.folder / "doubtful.jsonl", rows)
    code, out = shell.run("calibrate", "--model", trained, "--data", file, "--output", output)
    assert code == 0, out
    figures = result(output)
    assert figures["calibrator"]["name"] != "identity" and figures["calibrator"]["gain"]
    assert figures["log_loss"]["value"] < figures["uncalibrated"]["log_loss"]["value"] - 0.05
    predictor = load(output, lambda name: encoder(name, shell.data / "embeddings"))
    p = predictor.predict(["p"], [KIND.format("the sea")], [RUDE.format("the sea")])
    assert 0.5 < p[0] < 0.75
    assert {"pair_id", "split", "raw", "probability", "target"} <= {
        *pq.read_schema(output / "artifacts" / "predictions.parquet").names
    }


def test_score_answers_and_pairs(trained: Path, shell: Shell) -> None:
    answers = [{"prompt": "p", "response": text.format("the sea")} for text in (RUDE, KIND)]
    rows: Rows = [*answers, {"prompt": "p", "response": ""}]
    code, out = shell.run(
        "score",
        "--model",
        trained,
        "--data",
        write(shell.folder / "a.jsonl", rows),
        "--output",
        shell.folder / "sa",
    )
    assert code == 0, out
    rude, kind = read_lines(shell.folder / "sa" / "artifacts" / "scores.jsonl")
    assert (rude["row"], kind["row"]) == (1, 2) and kind["score"] > rude["score"]
    assert result(shell.folder / "sa") | {"total": 3, "scored": 2, "refused": 1} == result(
        shell.folder / "sa"
    )
    pairs = [
        {
            "pair_id": "one",
            "prompt": "p",
            "response_a": answers[0]["response"],
            "response_b": answers[1]["response"],
        },
        {
            "pair_id": "two",
            "prompt": "p",
            "response_a": answers[1]["response"],
            "response_b": answers[0]["response"],
        },
    ]
    code, out = shell.run(
        "score",
        "--model",
        trained,
        "--data",
        write(shell.folder / "p.jsonl", pairs),
        "--output",
        shell.folder / "sp",
    )
    assert code == 0, out
    one, two = read_lines(shell.folder / "sp" / "artifacts" / "scores.jsonl")
    assert one["pair_id"] == "one" and one["probability"] < 0.3
    assert one["probability"] == pytest.approx(1 - two["probability"])
    labelled = [
        {"prompt": "p", "chosen": pair["response_a"], "rejected": pair["response_b"]} for pair in pairs
    ]
    code, out = shell.run(
        "score",
        "--model",
        trained,
        "--data",
        write(shell.folder / "t.jsonl", labelled),
        "--output",
        shell.folder / "st",
    )
    found = list(read_lines(shell.folder / "st" / "artifacts" / "scores.jsonl"))
    assert [row["probability"] for row in found] == pytest.approx([one["probability"], two["probability"]])


def some_ratings(count: int) -> list[dict[str, Any]]:
    draw = random.Random(4)
    return [
        {
            "prompt": f"Question {i} about {(thing := draw.choice(THINGS))}?",
            "response": (KIND if i % 3 else RUDE).format(thing),
            "rating": 5 if i % 3 else 1,
        }
        for i in range(count)
    ]


def test_ratings(shell: Shell) -> None:
    file, output = write(shell.folder / "ratings.jsonl", some_ratings(90)), shell.folder / "rated"
    code, out = shell.run("train-reward", "--data", file, "--output", output)
    assert code == 0, out
    figures = result(output)
    assert figures["trained_on"] == "ratings" and figures["accuracy"]["value"] > 0.9
    assert figures["parts"]["train"]["rows"] > 50
    code, out = shell.run(
        "evaluate", "--model", output, "--data", file, "--output", shell.folder / "rated again"
    )
    assert code == 0, out
    assert result(shell.folder / "rated again")["accuracy"]["value"] > 0.9
    rows = [{"prompt": "Why?", "response": text.format("the sea")} for text in (KIND, RUDE)]
    scored = shell.folder / "rated scores"
    shell.run("score", "--model", output, "--data", write(shell.folder / "s.jsonl", rows), "--output", scored)
    good, poor = read_lines(scored / "artifacts" / "scores.jsonl")
    assert good["good"] > 0.5 > poor["good"]


def test_the_model_of_ratings_that_is_kept_is_fitted_to_all_of_them(shell: Shell, tmp_path: Path) -> None:
    draw = random.Random(5)
    rows = [{**row, "rating": 6 - row["rating"]} if draw.random() < 0.1 else row for row in some_ratings(120)]
    file = write(tmp_path / "ratings.jsonl", rows)
    for name, options in (("kept", []), ("judged", ["--no-refit"])):
        code, out = shell.run("train-reward", "--data", file, "--output", tmp_path / name, *options)
        assert code == 0, out
    kept, judged = tmp_path / "kept", tmp_path / "judged"
    assert result(kept)["refitted"] and not result(judged)["refitted"]
    for name in ("accuracy", "log_loss", "ece", "calibrator", "form", "parts"):
        assert result(kept)[name] == result(judged)[name], (
            "the figures are of the fit that had not seen the test"
        )
    predictions, weights = ([(run / "artifacts" / name).read_bytes() for run in (kept, judged)]
                            for name in ("predictions.parquet", "model/weights.safetensors"))  # fmt: skip
    assert predictions[0] == predictions[1] and weights[0] != weights[1]
    found = pq.read_table(judged / "artifacts" / "predictions.parquet").to_pylist()
    rated = [Rating(row["prompt"], row["response"], row["rating"]) for row in rows]
    train = {row["pair_id"] for row in found if row["split"] == "train"}
    assert set(describe(kept)["seen"]) == {mark(one.group) for one in rated}
    assert set(describe(judged)["seen"]) == {mark(one.group) for one in rated if one.id in train}

    whole = tmp_path / "whole"
    shell.run("train-reward", "--data", file, "--output", whole, "--held-out", 0)
    assert (whole / "artifacts" / "model" / "weights.safetensors").read_bytes() == weights[0]


TIES = [{**row, "votes_chosen": 0, "votes_rejected": 0, "votes_tie": 3} for row in some_pairs(60)]
IDENTICAL = [{**row, "rejected": row["chosen"]} for row in some_pairs(60)]


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        (some_pairs(38), [], "needs 50 pairs with a preferred answer; there are 38, so 12 more are needed"),
        (TIES, [], "All 60 pairs are ties"),
        (TIES, ["--ties", "drop"], "60 rows were left out: all its votes are ties"),
        (IDENTICAL, [], "60 rows were left out: the two answers are identical"),
        ([{**row, "prompt": "one"} for row in some_pairs(60)], [], "about 1 prompt; at least 3 are needed"),
        (some_ratings(30), [], "needs 50 rated answers; there are 30, so 20 more are needed"),
        ([row for row in some_ratings(120) if row["rating"] > 4], [], "All .* answers are good"),
        (some_ratings(90), ["--learning-curve"], "A learning curve is of pairs"),
        (some_pairs(60), ["--criterion", "truth"], "there are 0 of the criterion truth"),
        (some_pairs(60), ["--model", "no/such-model"], "There is no encoder no/such-model"),
        (some_pairs(60), ["--model", "tests"], "has no weights"),
        (some_pairs(60), ["--model", "{pickle}"], "has weights as a pickle only, which is refused"),
    ],
)
def test_what_cannot_be_trained_fails_with_the_reason_and_leaves_no_model(
    shell: Shell, tmp_path: Path, rows: Rows, options: list[str], reason: str
) -> None:
    file, output = write(tmp_path / "x.jsonl", rows), tmp_path / "out"
    (pickle := tmp_path / "pickle").mkdir()
    (pickle / "pytorch_model.bin").write_bytes(b"\x80\x04")
    told = [option.format(pickle=pickle) for option in options]
    code, out = shell.run_here("train-reward", "--data", file, "--output", output, *told)
    assert code == 1
    found = result(output)
    assert found["status"] == "failed" and "Traceback" not in out
    assert re.search(reason, found["reason"]) and re.search(reason, out)
    assert not (output / "artifacts" / "model").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--data", "none.jsonl"], "none.jsonl"),
        (["--data", "{data}", "--epochs", "0"], "epochs is 0; it must be a whole number, 1 or more"),
        (["--data", "{data}", "--config", "{dropout}"], "The method sbert has no setting 'dropout'"),
        (["--data", "{data}", "--config", "{plain}"], "The method sbert has no setting 'recipe'"),
        (
            ["--data", "{data}", "--config", "{plain}", "--method", "trl"],
            "The method trl has no setting 'recipe'",
        ),
        (
            ["--data", "{data}", "--config", "{batch}", "--method", "transformer"],
            "batch is 1: Input should be greater than or equal to 2.",
        ),
        ([], "--data FILE and --output DIR"),
    ],
)
def test_wrong_options_start_nothing(
    shell: Shell, tmp_path: Path, data: Path, options: list[str], reason: str
) -> None:
    configs = {"dropout": "dropout: 0.1", "plain": "recipe: plain", "batch": "batch: 1"}
    files = {name: write_text(tmp_path / f"{name}.yaml", text) for name, text in configs.items()}
    options = [option.format(data=data, **files) for option in options]
    code, out = shell.run_here("train-reward", "--output", tmp_path / "out", *options)
    assert code == 1 and reason in out and "Traceback" not in out
    assert not (tmp_path / "out" / "job.json").exists()


def test_the_limits_are_settings(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", some_pairs(38))
    code, out = shell.run(
        "train-reward", "--data", file, "--output", tmp_path / "out", ATTUNE_REWARD_MINIMUM="30"
    )
    assert code == 0, out


def test_texts_beyond_the_model_are_counted(shell: Shell, tmp_path: Path) -> None:
    rows = some_pairs(60)
    rows[5]["chosen"] = "word " * 400
    code, out = shell.run(
        "train-reward", "--data", write(tmp_path / "x.jsonl", rows), "--output", tmp_path / "out"
    )
    assert code == 0 and "1 texts are longer than all-MiniLM-L6-v2 reads" in out
    assert result(tmp_path / "out")["details"]["cut"] == 1


def pickled(model: Path) -> None:
    (model / "pytorch_model.bin").write_bytes(b"\x80\x04")


def flipped(model: Path) -> None:
    weights = bytearray((model / "weights.safetensors").read_bytes())
    weights[-1] ^= 1
    (model / "weights.safetensors").write_bytes(weights)


def not_a_number(model: Path) -> None:
    reward = load(model, encoder).model
    assert isinstance(reward, SbertReward)
    VotePredictor(replace(reward, embedding=reward.embedding * np.nan)).save(model)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (pickled, "a pickle"),
        (flipped, "SHA-256 differs"),
        (not_a_number, "has a weight that is not a number"),
        (lambda model: (model / "weights.safetensors").unlink(), "lacks weights.safetensors"),
        (lambda model: (model / MODEL_FILE).unlink(), "holds no reward model"),
    ],
)
def test_a_model_that_cannot_be_trusted_is_refused(
    shell: Shell, trained: Path, tmp_path: Path, damage: Callable[[Path], object], says: str
) -> None:
    model = tmp_path / "model"
    shutil.copytree(trained / "artifacts" / "model", model)
    damage(model)
    file = write(tmp_path / "x.jsonl", some_pairs(5))
    code, out = shell.run_here("evaluate", "--model", model, "--data", file, "--output", tmp_path / "out")
    assert code == 1 and says in result(tmp_path / "out")["reason"] and says in out


def test_asked_to_stop_while_embedding(shell: Shell, tmp_path: Path) -> None:
    rows = [
        {**row, "chosen": f"{row['chosen']} {i} " * 30, "rejected": f"{i} no " * 60}
        for i, row in enumerate(some_pairs(2000))
    ]
    output = tmp_path / "out"
    process = shell.start("train-reward", "--data", write(tmp_path / "x.jsonl", rows), "--output", output)
    begun = time.monotonic()
    while not (output / "process.json").exists() and time.monotonic() - begun < 60:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 130
    assert result(output)["status"] == "cancelled" and not (output / "artifacts" / "model").exists()


def test_cached_pairs_train_without_torch(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", some_pairs(500))
    shell.run("train-reward", "--data", file, "--output", tmp_path / "first")
    code, out = shell.run(
        "train-reward", "--data", file, "--output", tmp_path / "second", PYTHONPROFILEIMPORTTIME="1"
    )
    assert code == 0
    assert "| torch\n" not in out and "sentence_transformers" not in out


@pytest.mark.slow
def test_debates_it_has_not_seen(shared_data: Path, shell: Shell, tmp_path: Path) -> None:
    """Published models for these pairs reach 0.76 to 0.78 on debates held out; the longer argument wins 0.75 here."""
    folder, model = shared_data / "ukp_convarg1", tmp_path / "model"
    train = ("train-reward", "--data", folder / "pairs_train.jsonl.gz", "--output", model, "--held-out", 0)
    code, out = shell.run(*train)
    assert code == 0, out
    held = folder / "pairs_validation.jsonl.gz"
    code, out = shell.run("evaluate", "--model", model, "--data", held, "--output", tmp_path / "out")
    assert code == 0, out
    assert result(tmp_path / "out")["accuracy"]["value"] > 0.78
    assert result(tmp_path / "out")["log_loss"]["value"] < 0.47
