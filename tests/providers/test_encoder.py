"""The encoder with the bundled MiniLM, and its cache: computed once, shared by processes, safe when one is killed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import lmdb
import numpy as np
import pytest

from core.rewards.base import RewardError
from providers import encoder as module
from providers.encoder import DEFAULT, Encoder, encoder
from tests.tiny import spoil, write_encoder

ROOT = Path(__file__).resolve().parents[2]
TEXTS = ["A cat sat on the mat.", "Reward models score answers.", "", "x" * 30 + " ünï \u2028 🙂"]
LONG = "word " * 400


@pytest.fixture(autouse=True)
def _passive() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Every cache is opened anew, as in another process."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    for cached in list(opened):
        if cached._file is not None:
            cached._file.close()
    opened.clear()
    module._cache.cache_clear()


opened: list[module._Cache] = []


def fresh(cache_dir: Path) -> Encoder:
    found = encoder(cache_dir=cache_dir)
    assert found._cache is not None
    opened.append(found._cache)
    return found


def in_process(cache_dir: Path, code: str) -> subprocess.Popen[str]:
    program = f"from pathlib import Path\nfrom providers.encoder import encoder\ne = encoder(cache_dir=Path({str(cache_dir)!r}))\n"
    return subprocess.Popen(
        [sys.executable, "-c", program + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def reference() -> np.ndarray:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder()._folder), device="cpu", local_files_only=True)
    return np.asarray(model.encode([*TEXTS, LONG]))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds TEXTS and LONG."""
    folder = tmp_path_factory.mktemp("cache") / "embeddings"
    fresh(folder).embed([*TEXTS, LONG])
    _forget()
    return folder


def cosine(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.sum(one * other, 1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)


def test_vectors_are_those_of_the_library_also_from_the_cache(
    filled: Path, reference: np.ndarray, forgotten: None
) -> None:
    for one in (encoder(), fresh(filled)):
        found = one.embed([*TEXTS, LONG, TEXTS[0]])
        assert found.shape == (6, 384) and found.dtype == np.float32 and one.dimension == 384
        assert cosine(found[:5], reference).min() > 0.9999
        assert np.array_equal(found[0], found[5])
        assert one.cut([*TEXTS, LONG, LONG]) == 1
    assert encoder().embed([]).shape == (0, 384)


def test_cached_texts_need_no_model(filled: Path) -> None:
    code = f"import sys; e.embed({TEXTS!r}); e.cut({TEXTS!r}); e.dimension\n"
    code += "print([m for m in ('torch', 'sentence_transformers', 'transformers', 'sklearn') if m in sys.modules])"
    done = in_process(filled, code)
    out, error = done.communicate(timeout=300)
    assert out == "[]\n", error


def test_progress_counts_distinct_texts(filled: Path, forgotten: None) -> None:
    heard: list[tuple[int, int]] = []
    one = encoder(cache_dir=filled, on_progress=lambda done, total: heard.append((done, total)))
    one.embed([*TEXTS, *TEXTS])
    one.embed(["a new text", TEXTS[0]])
    assert heard == [(4, 4), (1, 2), (2, 2)]


def copy(filled: Path, tmp_path: Path) -> Path:
    return shutil.copytree(filled, tmp_path / "embeddings")


@pytest.mark.parametrize("damage", ["cut short", "rubbish", "empty"])
def test_a_damaged_cache_is_built_anew(
    filled: Path,
    tmp_path: Path,
    damage: str,
    reference: np.ndarray,
    forgotten: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder = copy(filled, tmp_path)
    data = (folder / "data.mdb").read_bytes()
    broken = {"cut short": data[: len(data) // 2], "rubbish": b"rubbish!" * 4096, "empty": b"x"}[damage]
    (folder / "data.mdb").write_bytes(broken)
    assert cosine(fresh(folder).embed(TEXTS), reference[:4]).min() > 0.9999
    assert "damaged" in caplog.text and "built anew" in caplog.text
    _forget()
    assert len(fresh(folder)._cache.get({fresh(folder)._key(text): text for text in TEXTS})) == 4  # type: ignore[union-attr]


def test_a_value_with_a_flipped_bit_is_computed_again(
    filled: Path, tmp_path: Path, reference: np.ndarray, forgotten: None
) -> None:
    folder = copy(filled, tmp_path)
    one = fresh(folder)
    key = one._key(TEXTS[0])
    with one._cache._file.begin(write=True) as transaction:  # type: ignore[union-attr]
        value = bytearray(transaction.get(key))
        value[100] ^= 64
        transaction.put(key, bytes(value))
    assert cosine(one.embed(TEXTS), reference[:4]).min() > 0.9999


def test_a_folder_that_cannot_be_written_is_bypassed(
    tmp_path: Path, forgotten: None, caplog: pytest.LogCaptureFixture, reference: np.ndarray
) -> None:
    (tmp_path / "file").write_text("not a folder")
    one = encoder(cache_dir=tmp_path / "file" / "embeddings")
    assert cosine(one.embed(TEXTS[:2]), reference[:2]).min() > 0.9999
    assert "cannot be used" in caplog.text


def test_a_killed_writer_loses_only_what_it_had_not_stored(tmp_path: Path, forgotten: None) -> None:
    folder = tmp_path / "embeddings"
    code = "import itertools\nfor i in itertools.count():\n    e._cache.put({i.to_bytes(32): b'x' * 800 for i in range(i * 50, i * 50 + 50)})\n    print(i, flush=True)\n"
    writer = in_process(folder, code)
    assert writer.stdout
    for line in writer.stdout:
        if int(line) >= 20:
            break
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    with lmdb.open(str(folder)) as file, file.begin() as transaction:
        kept = transaction.stat()["entries"]
        assert kept >= 21 * 50 and kept % 50 == 0
        assert all(transaction.get(i.to_bytes(32)) == b"x" * 800 for i in range(kept))


def test_several_processes_share_one_cache(tmp_path: Path, forgotten: None) -> None:
    folder = tmp_path / "embeddings"
    code = "import os\nfor i in range(40):\n    e._cache.put({os.urandom(32): b'y' * 800 for _ in range(10)})\nprint('ok')"
    writers = [in_process(folder, code) for _ in range(4)]
    begun = time.monotonic()
    for writer in writers:
        out, error = writer.communicate(timeout=300)
        assert out == "ok\n", error
    assert time.monotonic() - begun < 240
    with lmdb.open(str(folder)) as file:
        assert file.stat()["entries"] == 4 * 40 * 10


def test_the_identity_is_that_of_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(encoder()._folder, folder)
    assert (
        encoder(str(folder)).identity
        == encoder().identity
        == encoder(f"sentence-transformers/{DEFAULT}").identity
    )
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}')
    assert encoder(str(folder)).identity != encoder().identity


def test_what_is_no_encoder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RewardError, match=r"no encoder no-such-model.*bundled"):
        encoder("no-such-model")
    with pytest.raises(RewardError, match="has no weights"):
        encoder(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(RewardError, match="pickle"):
        encoder(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"rubbish")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RewardError, match="cannot be loaded"):
        encoder(str(tmp_path)).embed(["x"])


def test_a_vector_that_is_not_of_numbers_is_an_error_and_not_kept(tmp_path: Path) -> None:
    spoil(folder := write_encoder(tmp_path / "spoilt"))
    spoilt = encoder(str(folder), tmp_path / "embeddings")
    with pytest.raises(RewardError, match="gave a vector that is not of numbers: check its weights"):
        spoilt.embed(["good"])
    assert spoilt._cache is not None and not spoilt._cache.get({spoilt._key("good"): "good"})
