"""The official Python client against Casemate: python openai_python.py BASE_URL TOKEN TOKEN_OF_A_READER"""

import json
import sys
from typing import Literal

import openai
from pydantic import BaseModel, Field

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=sys.argv[2], max_retries=0, timeout=120)

# Models.
models = client.models.list().data
model = models[0].id
embedder = next(found.id for found in models if getattr(found, "dimensions", None))
assert client.models.retrieve(model).id == model
try:
    client.models.retrieve("gpt-0")
    raise SystemExit("a model that is not there was found")
except openai.NotFoundError as error:
    assert error.code == "model_not_found", error.body

# Chat.
system = {"role": "system", "content": "You answer analysts of a security operations centre. " * 12}
messages = [system, {"role": "user", "content": "Say hello to <|im_end|> the analyst."}]
chat = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=24)
answer = chat.choices[0].message
assert answer.role == "assistant" and answer.content, chat
assert chat.choices[0].finish_reason in ("stop", "length")
assert chat.usage.total_tokens == chat.usage.prompt_tokens + chat.usage.completion_tokens
assert chat.system_fingerprint.startswith("fp_") and chat.object == "chat.completion"
again = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=24)
assert again.choices[0].message.content == answer.content

# A conversation goes on: what was read is not read again.
messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": "Again, shorter."}]
further = client.chat.completions.create(model=model, messages=messages, temperature=0, max_tokens=4)
cached = further.usage.prompt_tokens_details.cached_tokens
assert 64 <= cached < further.usage.prompt_tokens, further.usage

# The same seed, the same words; several answers.
seeded = [
    client.chat.completions.create(model=model, messages=messages, seed=7, n=2, max_tokens=12) for _ in range(2)
]
texts = [[choice.message.content for choice in found.choices] for found in seeded]
assert texts[0] == texts[1] and len(texts[0]) == 2 and texts[0][0] != texts[0][1], texts

# Stop sequences.
word = answer.content.split()[1]
stopped = client.chat.completions.create(model=model, messages=messages[:2], temperature=0, max_tokens=24, stop=[word])
assert stopped.choices[0].finish_reason == "stop" and word not in stopped.choices[0].message.content
assert answer.content.startswith(stopped.choices[0].message.content)

# Streaming.
stream = client.chat.completions.create(
    model=model, messages=messages[:2], temperature=0, max_tokens=24, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert streamed == answer.content, (streamed, answer.content)
assert chunks[0].choices[0].delta.role == "assistant"
assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == chat.usage.completion_tokens
assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == chat.choices[0].finish_reason
assert len(chunks) > 5

# The helper that puts a stream together again.
with client.chat.completions.stream(
    model=model, messages=messages[:2], temperature=0, max_tokens=24, stop=[word]
) as helper:
    assert helper.get_final_completion().choices[0].message.content == stopped.choices[0].message.content

# Log-probabilities.
weighed = client.chat.completions.create(
    model=model, messages=messages[:2], temperature=0, max_tokens=8, logprobs=True, top_logprobs=3
)
content = weighed.choices[0].logprobs.content
assert "".join(entry.token for entry in content) == weighed.choices[0].message.content
for entry in content:
    assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
    assert entry.top_logprobs[0].token == entry.token and entry.top_logprobs[0].logprob == entry.logprob
    assert bytes(entry.bytes).decode() == entry.token


# Structured output, as a schema and as a class.
class Host(BaseModel):
    """Whether the host is one of those that matter."""

    critical: bool
    reason: Literal["server", "workstation"]
    ports: list[Literal[22, 443]] = Field(max_length=2)


schema = {
    "type": "object",
    "properties": {
        "verdict": {"type": "string", "enum": ["malicious", "benign"]},
        "ports": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 9}, "minItems": 2, "maxItems": 2},
    },
    "required": ["verdict", "ports"],
    "additionalProperties": False,
}
asked = [{"role": "user", "content": "powershell.exe -enc on WS5: judge it."}]
for temperature in (0, 2):
    found = client.chat.completions.create(
        model=model,
        messages=asked,
        temperature=temperature,
        seed=1,
        response_format={"type": "json_schema", "json_schema": {"name": "triage", "strict": True, "schema": schema}},
    )
    document = json.loads(found.choices[0].message.content)
    assert found.choices[0].finish_reason == "stop" and document["verdict"] in ("malicious", "benign")
    assert len(document["ports"]) == 2 and all(1 <= port <= 9 for port in document["ports"])
parsed = client.chat.completions.parse(
    model=model, messages=asked, temperature=0, max_tokens=400, response_format=Host
).choices[0].message.parsed
assert isinstance(parsed, Host), parsed
free = client.chat.completions.create(
    model=model, messages=asked, temperature=0, max_tokens=64, response_format={"type": "json_object"}
).choices[0]
assert free.message.content.startswith("{")
if free.finish_reason == "stop":
    json.loads(free.message.content)

# Tools: the arguments follow the schema whatever the model would rather say.
parameters = {
    "type": "object",
    "properties": {"host": {"type": "string", "enum": ["WS5", "DC1"]}, "hours": {"type": "integer", "minimum": 1, "maximum": 9}},
    "required": ["host", "hours"],
    "additionalProperties": False,
}
tools = [
    {"type": "function", "function": {"name": "search_events", "description": "Events of a host", "parameters": parameters}},
    {"type": "function", "function": {"name": "close_alert"}},
]
for choice in ("required", {"type": "function", "function": {"name": "search_events"}}):
    called = client.chat.completions.create(
        model=model, messages=asked, temperature=0, tools=tools[:1], tool_choice=choice, parallel_tool_calls=False
    ).choices[0]
    call = called.message.tool_calls[0]
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "search_events" and arguments["host"] in ("WS5", "DC1") and 1 <= arguments["hours"] <= 9
    assert called.finish_reason == ("tool_calls" if choice == "required" else "stop")
told = client.chat.completions.create(
    model=model,
    messages=asked + [called.message, {"role": "tool", "tool_call_id": call.id, "content": "3 events"}],
    temperature=0,
    max_tokens=8,
    tools=tools,
    tool_choice="none",
)
assert told.choices[0].message.content and not told.choices[0].message.tool_calls
auto = client.chat.completions.create(model=model, messages=asked, temperature=0, max_tokens=64, tools=tools).choices[0]
assert auto.message.content or auto.message.tool_calls
pieces = client.chat.completions.create(
    model=model, messages=asked, temperature=0, tools=tools[:1], tool_choice="required", parallel_tool_calls=False, stream=True
)
name, arguments, reason = "", "", None
for chunk in pieces:
    for delta in chunk.choices[0].delta.tool_calls or []:
        name += delta.function.name or ""
        arguments += delta.function.arguments or ""
    reason = chunk.choices[0].finish_reason or reason
assert (name, reason) == ("search_events", "tool_calls") and json.loads(arguments)["host"] in ("WS5", "DC1")

# Completions.
done = client.completions.create(
    model=model, prompt=["The quick brown", "One two three"], max_tokens=6, temperature=0, logprobs=2, echo=True
)
assert [choice.index for choice in done.choices] == [0, 1]
for choice, prompt in zip(done.choices, ("The quick brown", "One two three")):
    assert choice.text.startswith(prompt) and "".join(choice.logprobs.tokens) == choice.text
    assert choice.logprobs.token_logprobs[0] is None and all(p <= 0 for p in choice.logprobs.token_logprobs[1:])
    assert all(choice.text[at:].startswith(token) for at, token in zip(choice.logprobs.text_offset, choice.logprobs.tokens))
plain = client.completions.create(model=model, prompt="The quick brown", max_tokens=6, temperature=0)
assert "The quick brown" + plain.choices[0].text == done.choices[0].text
pieces = client.completions.create(model=model, prompt="The quick brown", max_tokens=6, temperature=0, stream=True)
assert "".join(piece.choices[0].text for piece in pieces) == plain.choices[0].text

# Embeddings: the client asks for base64 by itself.
texts = ["failed login of root", "root could not log in", "the turbine turns"]
found = client.embeddings.create(model=embedder, input=texts)
vectors = [entry.embedding for entry in found.data]
assert [len(vector) for vector in vectors] == [384] * 3 and found.usage.prompt_tokens > 10
near, far = (sum(a * b for a, b in zip(vectors[0], other)) for other in vectors[1:])
assert near > far + 0.2 and abs(sum(a * a for a in vectors[0]) - 1) < 1e-4
floats = client.embeddings.create(model=embedder, input=texts[0], encoding_format="float").data[0].embedding
assert max(abs(a - b) for a, b in zip(floats, vectors[0])) < 1e-6
long = client.embeddings.create(model=embedder, input="failed login of root " * 200)
assert long.usage.prompt_tokens > 800 and len(long.data[0].embedding) == 384
tokens = client.embeddings.create(model=embedder, input=[[3478, 8833], [7117]])
assert len(tokens.data) == 2


# What fails is an exception of the right kind, with what to do about it.
def fails(kind, code, call):
    try:
        call()
    except kind as error:
        assert error.code == code, (error.code, code, error.body)
        assert error.body["message"], error.body
        return
    raise SystemExit(f"{kind.__name__} was not raised")


def ask(**more):
    return lambda: client.chat.completions.create(**{"model": model, "messages": asked, "max_tokens": 4, **more})


fails(openai.NotFoundError, "model_not_found", ask(model="gpt-4o"))
fails(openai.BadRequestError, "context_length_exceeded", ask(messages=[{"role": "user", "content": "log " * 20000}]))
fails(openai.BadRequestError, "context_length_exceeded", ask(max_tokens=10**6))
fails(openai.BadRequestError, "invalid_value", ask(temperature=3))
fails(openai.BadRequestError, "unknown_parameter", ask(extra_body={"top_k": 4}))
fails(openai.BadRequestError, "unsupported_value", ask(logit_bias={"5": 1}))
fails(openai.BadRequestError, "unsupported_parameter", lambda: client.completions.create(model=model, prompt="a", suffix="b"))
fails(openai.BadRequestError, "invalid_value", lambda: client.completions.create(model=model, prompt=[0, 1, 2]))
fails(openai.BadRequestError, "unsupported_value", lambda: client.embeddings.create(model=embedder, input="a", dimensions=2))
stranger = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key="cmt_0123456789ab_00", max_retries=0)
fails(openai.AuthenticationError, "invalid_api_key", lambda: stranger.models.list())
reader = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=sys.argv[3], max_retries=0)
assert reader.models.list().data[0].id == model
fails(
    openai.PermissionDeniedError,
    "insufficient_permissions",
    lambda: reader.chat.completions.create(model=model, messages=asked, max_tokens=1),
)
print("all of the Python client")
