"""Answers that name their model are found, those that only speak of one are not, in linear time."""

import gzip
import json
from pathlib import Path

import pytest

from core.exposure import masked, model_named, models_named

GIVEAWAYS = [
    "As ChatGPT, I cannot browse the internet.",
    "As an AI language model developed by Anthropic, I try to be helpful.",
    "Hi! I'm Gemini, a helpful assistant.",
    "I’m ChatGPT and I can help.",
    "I am Claude, made by Anthropic.",
    "Sure. I'm **Claude**, an AI assistant.",
    "I am a large language model, trained by Google.",
    "I'm a large language model created by Mistral AI.",
    "I'm an AI assistant called Claude.",
    "I am an artificial intelligence language model created by OpenAI, so I have no feelings.",
    "As a large language model trained by OpenAI, I don't have opinions.",
    "As a GPT-4 model, my knowledge ends in 2023.",
    "I'm based on the GPT-3.5 architecture.",
    "I was created by OpenAI in 2022.",
    "I was trained and developed by DeepSeek.",
    "My name is Claude.",
    "You can call me ChatGPT.",
    "My creators at Anthropic wanted me to be honest.",
    "OpenAI trained me on text.",
    "I am OpenAI's ChatGPT.",
    "As Claude, I would rather not say.",
    "as ChatGPT, I would rather not say.",
    "as ChatGPT I'd rather not say.",
    "I am Llama 2, a model.",
    "I am CodeLlama.",
    "I am Open Assistant, trained by LAION.",
    "I'm Claude\nHere is the list.",
    "I am a chatbot built by HuggingFace.",
    "I'm DeepSeek-V3, an AI assistant.",
    "I am Qwen, a large language model created by Alibaba Cloud.",
    "Hello, this is ChatGPT here.",
    "I'm Claude 3.5 Sonnet.",
    "I am an OpenAI language model.",
    "As\nChatGPT, I cannot.",
]
MENTIONS = [
    "ChatGPT is a product of OpenAI.",
    "As ChatGPT becomes more popular, schools react.",
    "As ChatGPT, Claude and Gemini improve, prices fall.",
    "Tools such as ChatGPT, Claude, and Gemini are widely used.",
    "As an AI language model, I cannot feel pain.",
    "I am a large language model.",
    "I am using ChatGPT to write this.",
    "I'm ChatGPT's biggest fan.",
    "I am Claude Monet, the painter.",
    "My name is Claude Shannon.",
    "I'm a Gemini, my sister is a Leo.",
    "I am a developer who uses a model created by OpenAI.",
    "As Claude walked in, the room fell silent.",
    "The assistant was developed by Anthropic.",
    "I'm not ChatGPT.",
    "I work at Google.",
    "She asked whether Bard is better than Bing.",
    "I was trained by Google's best engineers in sales.",
    "The llama is a domesticated animal; so is the alpaca.",
    "",
]


@pytest.mark.parametrize("text", GIVEAWAYS)
def test_an_answer_that_names_its_model_is_found_with_the_phrase(text: str) -> None:
    phrase = model_named(f"Of course!\n\n{text} What else?")
    assert phrase
    assert phrase in text


@pytest.mark.parametrize("text", MENTIONS)
def test_an_answer_that_only_speaks_of_models_is_not_flagged(text: str) -> None:
    assert model_named(text) is None


@pytest.mark.parametrize(
    "unit",
    [
        "I am a large large language ",
        "As an AI AI AI ",
        "I'm GPT4",
        "OpenAI ",
        "I am ",
        "As Google's ",
        "As the team at OpenAI   ",
        "word ",
        "I",
        " ",
        "I was trained and ",
        "_*",
    ],
)
def test_long_repetitive_texts_are_read_in_linear_time(unit: str) -> None:
    text = (unit * (200_000 // len(unit) + 1))[:200_000]
    found = model_named(text)  # a pattern that backtracks would not come back
    assert found is None or found in text


def test_every_phrase_is_masked() -> None:
    text = "As ChatGPT, I cannot say. Still, I am ChatGPT and I can help. ChatGPT is a product."
    assert masked(text, "[hidden]").count("[hidden]") == 2
    assert model_named(masked(text, "[hidden]")) is None
    assert all(masked(mention, "[hidden]") == mention for mention in MENTIONS)


def test_many_texts_at_once_are_judged_as_one_by_one() -> None:
    texts = GIVEAWAYS + MENTIONS
    assert models_named(texts) == [model_named(text) for text in texts]


def test_real_answers_written_before_chat_models_are_not_flagged(shared_data: Path) -> None:
    with gzip.open(
        shared_data / "hh_rlhf_raw" / "harmless-base.test.jsonl.gz", "rt", encoding="utf-8", newline="\n"
    ) as f:
        answers = [json.loads(line)["chosen"].rpartition("\n\nAssistant:")[2] for line in f]
    flagged = [phrase for answer in answers if (phrase := model_named(answer))]
    assert len(answers) > 2000
    assert len(flagged) <= len(answers) * 0.001, flagged
