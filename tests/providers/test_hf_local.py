"""hf_local with a tiny model and tokenizer made here, without a network."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.generation import Completion, ProviderError, Sampling
from core.records import Message
from core.settings import Settings
from providers import connect

WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "in",
    "mat",
    "hat",
    "user",
    "assistant",
    "blue",
    "sky",
    "why",
]
TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }} {% endfor %}assistant"


@pytest.fixture(autouse=True, scope="module")
def _offline() -> Iterator[None]:
    """The variable is read when the library is first imported, which may have happened in another test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        yield


def build(path: Path, template: str | None) -> str:
    import torch
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["<unk>", "<eos>", *WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token="<eos>")
    tokenizer.chat_template = template
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(vocabulary),
        n_positions=64,
        n_embd=32,
        n_layer=2,
        n_head=2,
        bos_token_id=1,
        eos_token_id=1,
    )
    GPT2LMHeadModel(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def model(_offline: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    return build(tmp_path_factory.mktemp("model"), TEMPLATE)


def ask(model: str | None, text: str = "why is the sky blue", **sampling: object) -> Completion:
    return connect("hf_local", Settings()).complete([Message("user", text)], Sampling(model, **sampling))  # type: ignore[arg-type]


def test_it_answers_and_a_seed_repeats_the_answer(model: str) -> None:
    first = ask(model, temperature=1.0, max_tokens=12, seed=3)
    assert set(first.text.split()) <= {*WORDS, "<unk>"}
    assert first.model == model
    assert first.input_tokens == 7
    assert first.output_tokens is not None and 1 <= first.output_tokens <= 12
    assert ask(model, temperature=1.0, max_tokens=12, seed=3).text == first.text
    assert len({ask(model, temperature=1.0, max_tokens=12, seed=seed).text for seed in range(5)}) > 1


def test_temperature_zero_is_greedy(model: str) -> None:
    assert len({ask(model, temperature=0.0, max_tokens=8, seed=seed).text for seed in range(3)}) == 1


def test_a_model_without_a_template_gets_turns_with_their_roles(tmp_path: Path) -> None:
    completion = ask(build(tmp_path, None), temperature=1.0, max_tokens=5, seed=1)
    assert completion.input_tokens == 9  # User : why is the sky blue Assistant :


def test_a_template_that_refuses_is_an_error(tmp_path: Path) -> None:
    path = build(tmp_path, "{{ raise_exception('System role not supported') }}")
    with pytest.raises(ProviderError, match="refuses this chat: System role not supported"):
        ask(path)


def test_a_prompt_that_fills_the_context(model: str) -> None:
    assert ask(model, "cat " * 50, max_tokens=500, temperature=1.0, seed=1).output_tokens is not None
    with pytest.raises(ProviderError, match=r"leaves .* no room to answer: shorten it"):
        ask(model, "cat " * 80)


@pytest.mark.parametrize("name", ["/nowhere/model", "no-such-owner/no-such-model", "..."])
def test_a_missing_model_says_what_to_do(name: str) -> None:
    with pytest.raises(ProviderError, match="cannot be loaded: give the path of a directory"):
        ask(name)


def test_no_model(model: str) -> None:
    with pytest.raises(ProviderError, match="give the path or the name"):
        ask(None)


def test_threads_take_turns(model: str) -> None:
    expected = {seed: ask(model, temperature=1.0, max_tokens=10, seed=seed).text for seed in range(6)}
    found: dict[int, str] = {}

    def one(seed: int) -> None:
        found[seed] = ask(model, temperature=1.0, max_tokens=10, seed=seed).text

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
