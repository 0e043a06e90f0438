"""llama.cpp as a peer: reads one JSON request a line, answers with one line each."""

import ctypes
import json
import sys
import time

import llama_cpp as l
import numpy

path, threads, capacity = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
SEQUENCES = 33
# Loading begins here: what Python itself takes is not the engine's.
started = time.perf_counter()


@l.llama_log_callback
def silent(*_):
    pass


l.llama_log_set(silent, ctypes.c_void_p(0))
l.llama_backend_init()
model = l.llama_model_load_from_file(path.encode(), l.llama_model_default_params())
if not model:
    sys.exit("llama.cpp cannot load the file")
contexts = {}


def use(flash):
    """Makes the context with or without flash attention the current one."""
    global context, memory
    if flash not in contexts:
        parameters = l.llama_context_default_params()
        parameters.n_ctx = capacity
        parameters.n_batch = 2048
        parameters.n_ubatch = 512
        parameters.n_seq_max = SEQUENCES
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True
        if not flash:
            parameters.flash_attn_type = 0
        contexts[flash] = l.llama_init_from_model(model, parameters)
    context = contexts[flash]
    memory = l.llama_get_memory(context)


use(True)
vocabulary = l.llama_vocab_n_tokens(l.llama_model_get_vocab(model))
batch = l.llama_batch_init(2048, 0, 1)


def decode(rows):
    """Rows are (token, position, sequence, whether its logits are wanted)."""
    batch.n_tokens = len(rows)
    for i, (token, position, sequence, wanted) in enumerate(rows):
        batch.token[i] = token
        batch.pos[i] = position
        batch.n_seq_id[i] = 1
        batch.seq_id[i][0] = sequence
        batch.logits[i] = wanted
    if l.llama_decode(context, batch) != 0:
        raise RuntimeError("llama_decode failed")


def logits(row):
    return numpy.ctypeslib.as_array(l.llama_get_logits_ith(context, row), shape=(vocabulary,))


def read(tokens, start=0, sequence=0, every=False):
    """Reads tokens and yields the places of those whose logits are ready, chunk by chunk."""
    for first in range(0, len(tokens), 2048):
        chunk = tokens[first : first + 2048]
        last = first + len(chunk) == len(tokens)
        decode([(t, start + first + i, sequence, every or last and i + 1 == len(chunk)) for i, t in enumerate(chunk)])
    return len(tokens[-1 - (len(tokens) - 1) % 2048 :]) - 1


def choose(row):
    return int(logits(row).argmax())


def log_probabilities(row, candidates):
    scores = logits(row)
    highest = scores.max()
    total = numpy.log(numpy.exp(scores - highest).sum()) + highest
    return [float(scores[c] - total) for c in candidates]


def answer(request):
    kind = request["op"]
    # Single tokens are faster without.
    use(kind != "decode")
    l.llama_memory_clear(memory, False)
    begun = time.perf_counter()
    if kind == "first":
        choose(read(request["tokens"]))
        return time.perf_counter() - started
    if kind == "prefill":
        choose(read(request["tokens"]))
    elif kind == "decode":
        tokens = request["tokens"]
        token = choose(read(tokens))
        begun = time.perf_counter()
        for i in range(request["count"]):
            decode([(token, len(tokens) + i, 0, True)])
            token = choose(0)
    elif kind == "score":
        prefix = request["prefix"]
        read(prefix)
        rows, ends = [], []
        for i, suffix in enumerate(request["suffixes"]):
            l.llama_memory_seq_cp(memory, 0, i + 1, -1, -1)
            for j, token in enumerate(suffix):
                rows.append((token, len(prefix) + j, i + 1, j + 1 == len(suffix)))
            ends.append(len(rows) - 1)
        decode(rows)
        for end in ends:
            log_probabilities(end, request["candidates"])
    elif kind == "batch":
        prefix, suffixes = request["prefix"], request["suffixes"]
        read(prefix)
        rows, ends = [], []
        for i, suffix in enumerate(suffixes):
            l.llama_memory_seq_cp(memory, 0, i + 1, -1, -1)
            rows += [(t, len(prefix) + j, i + 1, j + 1 == len(suffix)) for j, t in enumerate(suffix)]
            ends.append(len(rows) - 1)
        decode(rows)
        tokens = [choose(end) for end in ends]
        begun = time.perf_counter()
        for step in range(request["count"]):
            position = len(prefix) + len(suffixes[0]) + step
            decode([(token, position, i + 1, True) for i, token in enumerate(tokens)])
            tokens = [choose(i) for i in range(len(tokens))]
    elif kind == "logits":
        tokens = request["tokens"]
        decode([(token, i, 0, True) for i, token in enumerate(tokens)])
        numpy.concatenate([logits(i) for i in range(len(tokens))]).astype("<f4").tofile(request["path"])
    else:
        raise ValueError(f"no operation {kind}")
    return time.perf_counter() - begun
