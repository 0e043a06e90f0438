# Sends 300 records with the official Python client of Elasticsearch.
import sys

from elasticsearch import Elasticsearch, helpers

client = Elasticsearch(sys.argv[1])
assert client.info()["version"]["number"]
actions = ({"_op_type": "create", "_index": "app", "message": f"shipped {n}"} for n in range(300))
assert helpers.bulk(client, actions) == (300, [])
