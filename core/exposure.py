"""Answers that give their model away, so that they can be flagged before an annotator sees them."""

import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

_APOSTROPHE = "['’]"
_MAKERS = (
    "(?i:OpenAI|Open AI|Anthropic|Google(?: DeepMind| AI| Research)?|DeepMind|Meta(?: AI)?|Facebook(?: AI)?|Microsoft"
    "|Mistral(?: AI)?|DeepSeek(?: AI)?|Alibaba(?: Cloud)?|Baidu|Tencent|ByteDance|xAI|x\\.AI|Cohere|NVIDIA|Amazon|Apple"
    "|IBM|AI21(?: Labs)?|Stability AI|Hugging(?: )?Face|EleutherAI|Databricks|LMSYS|Zhipu(?: AI)?|Moonshot(?: AI)?|01\\.AI"
    "|Inflection(?: AI)?|MiniMax|LAION|Perplexity(?: AI)?|the Technology Innovation Institute)"
)
_NEVER_PEOPLE = (
    "(?i:Chat-?GPT|GPT-?[2-5](?:[.o]?\\w{0,10})?|GPT|OpenAI Codex|Meta AI|Mixtral|Mistral|DeepSeek|Qwen|QwQ|Tongyi Qianwen"
    "|Vicuna|ChatGLM|GLM-?\\d|Hunyuan|Doubao|Open(?: )?Assistant|StableLM|WizardLM|Gemma|LaMDA|Code(?: )?Llama|Command[-\\s]R"
    "|Bing Chat|ERNIE Bot|Kimi K\\d|Nemotron|GPT4All)"
)
_ALSO_WORDS = (
    "(?:Claude|Gemini|Bard|Llama|LLaMA|LLAMA|PaLM|Grok|Copilot|Microsoft Copilot|GitHub Copilot|Bing|Alpaca|Koala"
    "|Dolly|Falcon|Phi|Yi|Kimi|Ernie|ERNIE)"
)
_VERSION = (
    r"(?:[-\s]?[vV]?\d[\w.]{0,10})?(?:[-\s](?:Instant|Opus|Sonnet|Haiku|Pro|Ultra|Flash|Nano|Turbo|Plus|Advanced|Chat|chat"
    r"|Instruct|AI|Large|Medium|Small|\d[\w.]{0,10})){0,3}"
)
_END = rf"[*_\"”]{{0,3}}(?!\w|-[a-z]|{_APOSTROPHE}s\b)"
_NAME = rf"(?:{_MAKERS}(?:{_APOSTROPHE}s)? )?(?:{_NEVER_PEOPLE}{_VERSION}|{_ALSO_WORDS}{_VERSION}(?!\x20[A-Z][a-z])){_END}"
_MAKER = rf"(?:the (?:team|people|researchers|engineers) (?:at|from) )?(?:a company called )?{_MAKERS}{_END}"
_I_AM = rf"(?:I am|I{_APOSTROPHE}m|i am|i{_APOSTROPHE}m)(?: (?:actually|really|just|simply|only|currently|called|named))?"
_KIND = (
    "(?i:(?:(?:AI|A\\.I\\.|artificial|intelligen(?:ce|t)|large|small|language|helpful|harmless|honest|virtual|digital|friendly"
    "|conversational|generative|text-based|computer|machine|learning|neural|network|open-source|multimodal|advanced"
    "|powerful|sophisticated|state-of-the-art|chat|personal|automated|pre-?trained|transformer),? ){0,8}"
    "(?:AI|A\\.I\\.|LLM|model|models|assistant|chatbot|bot|program|system|intelligence|network)"
    "(?: \\(?(?:LLM|AI)\\)?)?(?: (?:language )?(?:model|assistant|chatbot|program|system))?)"
)
_MADE = "(?:trained|developed|created|made|built|designed|programmed|produced|provided|powered)"
_MADE_BY = rf"{_MADE}(?:,? (?:and|or) {_MADE})? (?:by|at) {_MAKER}"
_MODEL_OF_THAT_NAME = (
    rf"(?:{_MAKERS}(?:{_APOSTROPHE}s)? )?(?:{_NEVER_PEOPLE}|{_ALSO_WORDS}|{_MAKERS}){_VERSION}"
    r"(?:[-\s](?:based|powered|trained|style))? "
    "(?i:(?:AI |large |language |chat |virtual ){0,3}(?:model|assistant|chatbot|AI|LLM|bot))\\b"
)
_PHRASES = (
    rf"{_I_AM},? {_NAME}",
    rf"{_I_AM},? (?:an?|the|one of) {_MODEL_OF_THAT_NAME}",
    rf"{_I_AM},? (?:an?|the) {_KIND},?(?: (?:called|named|known as) {_NAME}|(?: (?:that|which) (?:was|has been|is))? {_MADE_BY})",
    rf"{_I_AM},? (?:based on|powered by|running on|built on|a (?:version|variant|member|product) of)(?: the)? {_NAME}",
    rf"I (?:was|have been|am|{_APOSTROPHE}ve been) (?:(?:originally|actually|initially) )?{_MADE_BY}",
    rf"(?:My|my) name is {_NAME}",
    rf"(?:You can|you can|Please|please) call me {_NAME}",
    rf"(?:Call|call) me {_NAME}",
    rf"As {_NAME}, (?:I\b|my\b|(?![A-Z])(?!and\b|or\b))",
    rf"[Aa]s {_NAME},? (?:I|I{_APOSTROPHE}\w{{1,4}}) ",
    rf"[Aa]s (?:an?|the) {_MODEL_OF_THAT_NAME}(?=,| I\b| (?:{_MADE})\b)",
    rf"[Aa]s (?:an?|the) {_KIND},? (?:(?:called|named|known as) {_NAME}|{_MADE_BY})",
    rf"(?:My|my) (?:creators?|developers?|makers?|parent company|designers|engineers)(?: (?:at|is|are)|,) {_MAKER}",
    rf"{_MAKER}(?: has| have)? (?:trained|created|developed|designed|built|made|programmed) me\b",
    rf"(?:Hi|Hello|Hey|hi|hello|hey)[,!]? (?:this is )?{_NAME} here\b",
)
_GIVEAWAY = re.compile(rf"\b(?:{'|'.join(_PHRASES)})".replace(" ", r"\s{1,3}[*_\"“]{0,3}"))

_STEMS = [
    "gpt",
    "openai",
    "open",
    "anthropic",
    "google",
    "deepmind",
    "meta",
    "facebook",
    "microsoft",
    "mistral",
    "deepseek",
    "alibaba",
    "baidu",
    "tencent",
    "bytedance",
    "xai",
    "x.ai",
    "cohere",
    "nvidia",
    "amazon",
    "apple",
    "ibm",
    "ai21",
    "stability",
    "hugging",
    "eleuther",
    "databricks",
    "lmsys",
    "zhipu",
    "moonshot",
    "01.ai",
    "inflection",
    "minimax",
    "laion",
    "perplexity",
    "technology",
    "mixtral",
    "qwen",
    "qwq",
    "tongyi",
    "vicuna",
    "chatglm",
    "glm",
    "hunyuan",
    "doubao",
    "stablelm",
    "wizardlm",
    "gemma",
    "lamda",
    "llama",
    "command",
    "bing",
    "ernie",
    "kimi",
    "nemotron",
    "claude",
    "gemini",
    "bard",
    "palm",
    "grok",
    "copilot",
    "alpaca",
    "koala",
    "dolly",
    "falcon",
    "phi",
    "yi",
]
"""Every name above holds one of these: a text with none of them cannot match, which is much quicker to see."""


def model_named(text: str) -> str | None:
    """The first phrase in which the answer says which model, or whose model, it is; None where it does not.

    Speaking of a model ("ChatGPT is a product of OpenAI") is not naming oneself, and neither is being an AI of no
    particular make. Every repetition in the pattern is bounded, so the time is linear in the length of the text.
    """
    found = _GIVEAWAY.search(text)
    return found.group().strip() if found else None


def masked(text: str, by: str) -> str:
    """The text with ``by`` in the place of every phrase that says which model it is from."""
    return _GIVEAWAY.sub(lambda _: by, text)


def models_named(texts: Sequence[str]) -> list[str | None]:
    """``model_named`` of each text; the texts that hold no name at all are passed over by one linear scan."""
    named = pc.match_substring_regex(
        pa.array(texts, pa.large_string()), "|".join(map(re.escape, _STEMS)), ignore_case=True
    )
    return [model_named(text) if may else None for text, may in zip(texts, named.to_pylist(), strict=True)]
