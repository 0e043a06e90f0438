"""LangChain against Casemate, and an ordinary retrieval over its embeddings: python langchain_client.py BASE_URL TOKEN"""

import sys

from langchain_core.documents import Document
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

import openai

base, token = f"{sys.argv[1]}/v1", sys.argv[2]
models = openai.OpenAI(base_url=base, api_key=token).models.list().data
model = models[0].id
embedder = next(found.id for found in models if getattr(found, "dimensions", None))
chat = ChatOpenAI(model=model, base_url=base, api_key=token, temperature=0, max_tokens=64, max_retries=0)

asked = [SystemMessage("You help analysts."), HumanMessage("Say hello.")]
answer = chat.invoke(asked)
assert answer.content and answer.usage_metadata["output_tokens"] > 0, answer
assert "".join(piece.content for piece in chat.stream(asked)) == answer.content


class Verdict(BaseModel):
    """What an alert is."""

    malicious: bool
    confidence: int = Field(ge=0, le=9)


for method in ("json_schema", "function_calling"):
    found = chat.with_structured_output(Verdict, method=method).invoke("powershell.exe -enc on WS5: judge it.")
    assert isinstance(found, Verdict) and 0 <= found.confidence <= 9, (method, found)


@tool
def count_events(hours: int) -> int:
    """Counts the events of the last hours."""
    return hours * 3


bound = chat.bind_tools([count_events], tool_choice="count_events")
called = bound.invoke("How many events were there in 2 hours?")
call = called.tool_calls[0]
assert call["name"] == "count_events" and isinstance(call["args"]["hours"], int), called
result = ToolMessage(str(count_events.invoke(call["args"])), tool_call_id=call["id"])
assert chat.invoke([*asked, called, result]).content

# Token numbers of another model's vocabulary are not sent.
embeddings = OpenAIEmbeddings(model=embedder, base_url=base, api_key=token, check_embedding_ctx_length=False)
assert len(embeddings.embed_query("failed login")) == 384
store = InMemoryVectorStore(embeddings)
texts = {
    "ssh": "sshd: failed password for root from 10.0.0.7",
    "turbine": "turbine 3 reached 3000 rpm",
    "office": "winword.exe started powershell.exe with an encoded command",
    "backup": "nightly backup of the historian finished",
}
store.add_documents([Document(text, id=name) for name, text in texts.items()])
for question, expected in [
    ("somebody tries passwords", "ssh"),
    ("a document ran a script", "office"),
    ("how fast does the machine turn", "turbine"),
]:
    found = store.similarity_search(question, k=1)[0]
    assert found.id == expected, (question, found)
prompt = f"Answer from this alone: {texts['ssh']}\n\nWho failed to log in?"
assert chat.invoke(prompt).content
print("all of LangChain")
