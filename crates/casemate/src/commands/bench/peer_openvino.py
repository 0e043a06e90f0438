"""OpenVINO GenAI as a peer: reads one JSON request a line, answers with one line each."""

import json
import sys
import time

import numpy
import openvino
import openvino_genai

path, threads = sys.argv[1], int(sys.argv[2])
# Loading begins here: what Python itself takes is not the engine's.
started = time.perf_counter()


def pipeline(caching):
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.enable_prefix_caching = caching
    scheduler.cache_size = 2
    scheduler.max_num_batched_tokens = 8192
    return openvino_genai.LLMPipeline(path, "CPU", scheduler_config=scheduler, INFERENCE_NUM_THREADS=threads)


plain = pipeline(False)
sharing = None


def generate(pipe, texts, count):
    ids = numpy.array(texts, dtype=numpy.int64)
    inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(numpy.ones_like(ids)))
    config = openvino_genai.GenerationConfig(max_new_tokens=count, ignore_eos=True, do_sample=False, apply_chat_template=False)
    begun = time.perf_counter()
    pipe.generate(inputs, config)
    return time.perf_counter() - begun


def further(texts, count):
    """Seconds of the tokens after the first: what they add to a text whose pages are there already."""
    generate(sharing, texts, 1)
    short = generate(sharing, texts, 1)
    seconds = generate(sharing, texts, 1 + count) - short
    if seconds <= 0:
        raise RuntimeError("further tokens took no time that could be measured")
    return seconds


def answer(request):
    global sharing
    kind = request["op"]
    if kind == "first":
        generate(plain, [request["tokens"]], 1)
        return time.perf_counter() - started
    if kind == "prefill":
        return generate(plain, [request["tokens"]], 1)
    if sharing is None:
        sharing = pipeline(True)
        # Warm, as the other is.
        generate(sharing, [list(range(1000, 1300))], 1)
    if kind == "decode":
        return further([request["tokens"]], request["count"])
    prefix = request["prefix"]
    texts = [prefix + suffix for suffix in request["suffixes"]]
    if kind == "score":
        return generate(sharing, texts[:1], 1) + generate(sharing, texts[1:], 1)
    if kind == "batch":
        generate(sharing, texts[:1], 1)
        return further(texts, request["count"])
    raise ValueError(f"no operation {kind}")
