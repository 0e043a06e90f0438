"""OpenVINO GenAI as a peer: reads one JSON request a line, answers with one line each."""

import json
import sys
import time

started = time.perf_counter()
import numpy
import openvino
import openvino_genai

path, threads = sys.argv[1], int(sys.argv[2])


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


def answer(request):
    global sharing
    kind = request["op"]
    if kind == "first":
        generate(plain, [request["tokens"]], 1)
        return time.perf_counter() - started
    if kind == "prefill":
        return generate(plain, [request["tokens"]], 1)
    if kind == "decode":
        # The same text twice: what the further tokens took is the difference.
        short = generate(plain, [request["tokens"]], 1)
        return generate(plain, [request["tokens"]], 1 + request["count"]) - short
    if sharing is None:
        sharing = pipeline(True)
    prefix = request["prefix"]
    texts = [prefix + suffix for suffix in request["suffixes"]]
    if kind == "score":
        return generate(sharing, texts[:1], 1) + generate(sharing, texts[1:], 1)
    if kind == "batch":
        generate(sharing, texts[:1], 1)
        short = generate(sharing, texts, 1)
        return generate(sharing, texts, 1 + request["count"]) - short
    raise ValueError(f"no operation {kind}")


for line in sys.stdin:
    request = json.loads(line)
    if request["op"] == "memory":
        status = open("/proc/self/status").read()
        reply = {"bytes": int(status.split("VmHWM:")[1].split()[0]) * 1024}
    else:
        try:
            reply = {"seconds": answer(request)}
        except Exception as error:
            reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)
