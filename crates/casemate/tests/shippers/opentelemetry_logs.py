# Sends 300 records with the OpenTelemetry SDK: protocol buffers over HTTP, packed with gzip.
import sys

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

provider = LoggerProvider(resource=Resource.create({"host.name": "web1", "service.name": "shop"}))
exporter = OTLPLogExporter(endpoint=sys.argv[1] + "/v1/logs", compression=Compression.Gzip)
provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
logger = provider.get_logger("audit", "1.0")
for n in range(300):
    logger.emit(
        LogRecord(
            timestamp=1772442000000000000 + n,
            severity_text="WARN",
            severity_number=SeverityNumber.WARN,
            body=f"shipped {n}",
            attributes={"n": n},
        )
    )
assert provider.force_flush()
provider.shutdown()
