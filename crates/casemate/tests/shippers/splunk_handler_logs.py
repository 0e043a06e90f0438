# Sends 300 records with the logging handler for Splunk's HTTP Event Collector.
import logging
import sys
from urllib.parse import urlparse

from splunk_handler import SplunkHandler

url = urlparse(sys.argv[1])
handler = SplunkHandler(
    host=url.hostname, port=url.port, protocol="http", token="0", index="main", hostname="web1", flush_interval=0.2
)
log = logging.getLogger("shipped")
log.setLevel(logging.INFO)
log.addHandler(handler)
for n in range(300):
    log.info("shipped %d", n)
handler.close()
