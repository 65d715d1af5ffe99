"""Judges: a model behind an OpenAI-compatible endpoint, or one that transformers loads here."""

import json
import os
import time
import urllib.error
import urllib.request
from typing import Any

from evaluate.errors import JudgeError

_TRIES = 4
_TIMEOUT_SECONDS = 120
_LATER = frozenset({408, 409, 429, 500, 502, 503, 504})
_TOKENS = 16


class Endpoint:
    """`POST URL/chat/completions`, as OpenAI's, vLLM's, llama.cpp's and Ollama's servers take it."""

    def __init__(
        self, url: str, model: str, temperature: float | None = None, key_variable: str = "OPENAI_API_KEY"
    ) -> None:
        """`key_variable` names the environment variable with the key; without one none is sent.

        Raises JudgeError where `url` is none of HTTP.
        """
        if not url.startswith(("http://", "https://")):
            raise JudgeError(f"--endpoint {url}: expected a URL such as http://localhost:8000/v1")
        self.name = f"{model} at {url}"
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._model = model
        self._temperature = temperature
        self._key = os.environ.get(key_variable)
        self.wait_seconds = 1.0
        """Before the second try; twice as long before each further one."""

    def __call__(self, system: str, user: str, repeat: int) -> str:
        """See Judge; `repeat` is sent as the seed."""
        asked = {
            "model": self._model,
            "messages": [{"role": "system", "content": system}, {"role": "user", "content": user}],
            "seed": repeat,
        }
        if self._temperature is not None:
            asked["temperature"] = self._temperature
        answer = self._post(json.dumps(asked).encode())
        try:
            content = answer["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            content = None
        if not isinstance(content, str):
            raise JudgeError(f"{self._url} answered {str(answer)[:200]!r}: expected a chat completion")
        return content

    def _post(self, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        wait, reason = self.wait_seconds, ""
        for number in range(_TRIES):
            if number:
                time.sleep(wait * 2 ** (number - 1))
            try:
                request = urllib.request.Request(self._url, body, headers)
                with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as reply:
                    return json.load(reply)
            except urllib.error.HTTPError as error:
                reason = f"status {error.code}: {error.read(200).decode(errors='replace')}"
                if error.code not in _LATER:
                    break
            except ValueError as error:
                reason = f"no JSON: {error}"
            except OSError as error:
                reason = str(getattr(error, "reason", error))
        raise JudgeError(f"{self._url}: {reason}; the judgements so far are kept, and the next run continues")


class LocalJudge:
    """A causal language model with a chat template: a folder, or an id of the Hugging Face hub."""

    def __init__(self, place: str, device: str, temperature: float | None = None) -> None:
        """Raises JudgeError where it cannot be loaded."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            self._tokenizer = AutoTokenizer.from_pretrained(place)
            model = AutoModelForCausalLM.from_pretrained(place, dtype="auto")
        except (OSError, ValueError) as error:
            raise JudgeError(f"{place} cannot be loaded as a language model: {error}") from error
        if not self._tokenizer.chat_template:
            raise JudgeError(f"the tokenizer of {place} has no chat template: choose an instructed model")
        model.to(device)  # type: ignore[arg-type]
        self._model = model.eval()
        self._temperature = 1.0 if temperature is None else temperature
        self.name = f"{place} (transformers)"

    def __call__(self, system: str, user: str, repeat: int) -> str:
        """See Judge; `repeat` seeds the sampling."""
        import torch

        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        ids = self._tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        ids = ids.to(self._model.device)
        torch.manual_seed(repeat)
        sampled = {"do_sample": True, "temperature": self._temperature} if self._temperature else {}
        out = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=_TOKENS,
            pad_token_id=self._tokenizer.eos_token_id,
            **({"do_sample": False} | sampled),
        )
        return str(self._tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
