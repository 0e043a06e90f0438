"""usearch as a peer: reads one JSON request a line, answers with one line each."""

import json
import sys
import time

import numpy
from usearch.index import Index

directory, dimension, k = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
path = directory + "/usearch.index"
index = None


def load(name):
    return numpy.fromfile(directory + "/" + name, dtype=numpy.float32).reshape(-1, dimension)


queries = load("queries.f32")


def answer(request):
    global index
    op = request["op"]
    started = time.perf_counter()
    if op == "build":
        vectors = load("vectors.f32")
        index = Index(ndim=dimension, metric="ip", dtype="f32", connectivity=16, expansion_add=request["ef"])
        started = time.perf_counter()
        index.add(numpy.arange(len(vectors)), vectors, threads=1)
        seconds = time.perf_counter() - started
        index.save(path)
        return {"seconds": seconds, "hot": index.memory_usage, "disk": index.serialized_length}
    if op == "open":
        index = Index.restore(path, view=True)
        index.search(queries[:1], k, threads=1)
        return {"seconds": time.perf_counter() - started}
    index.expansion_search = request["ef"]
    found = index.search(queries, k, threads=1)
    seconds = time.perf_counter() - started
    keys = numpy.asarray(found.keys, dtype=numpy.uint64).reshape(len(queries), -1)
    return {"seconds": seconds, "found": keys.tolist()}


for line in sys.stdin:
    try:
        reply = answer(json.loads(line))
    except Exception as error:
        reply = {"error": str(error)}
    print(json.dumps(reply), flush=True)
