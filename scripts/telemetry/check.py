"""Runs a question with a model of ours, and a server, and reads what they tell."""

import json
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

HANDAXE = Path(sys.argv[1]).resolve()
ROOT = Path(__file__).resolve().parents[2]


class Kept(BaseHTTPRequestHandler):
    """Keeps what is posted; answers as a model that declines, or as a collector."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/v1/traces":
            self.server.kept.append(ExportTraceServiceRequest.FromString(body))
            said = b""
        else:
            said = json.dumps({
                "model": "declines-2026", "usage": {"prompt_tokens": 11, "completion_tokens": 7},
                "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "No."}}],
            }).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


def listening():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Kept)
    server.kept = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"


def attributes(span):
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def spans(server):
    out = []
    for request in server.kept:
        for resource in request.resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            assert named["service.name"] == "handaxe", named
            for scope in resource.scope_spans:
                out.extend(scope.spans)
    return out


def main():
    collector, otlp = listening()
    _, model = listening()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place) / "home"
        home.mkdir()
        (home / "policy.toml").write_text("[trial]\nfuzz_inputs = 24\nmutants = 0\n")
        base = [HANDAXE, "--home", home, "--otlp", otlp, "--quiet"]
        data = ROOT / "examples" / "logs.jsonl"
        subprocess.run(
            [*base, "ask", "What is going on?", "--data", data, "--model", "openai:declines",
             "--base-url", model + "/v1"],
            check=False, capture_output=True, timeout=120,
        )
        subprocess.run(
            [*base, "ask", "Which service has the most errors?", "--data", data, "--model", "composer", "--yes"],
            check=True, capture_output=True, timeout=300,
        )
        seen = spans(collector)
        names = {span.name for span in seen}
        wanted = {"ask", "plan", "make", "trial", "approval", "sandbox_call", "chat declines"}
        assert wanted <= names, f"missing: {wanted - names}"
        chat = next(span for span in seen if span.name == "chat declines")
        told = attributes(chat)
        for name, value in {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "declines", "gen_ai.response.model": "declines-2026",
            "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7,
        }.items():
            assert told.get(name) == value, (name, told)
        assert chat.kind == 3, "a model's call is a client's"
        by_id = {span.span_id: span for span in seen}
        root = chat
        while root.parent_span_id in by_id:
            root = by_id[root.parent_span_id]
        assert root.name == "ask", f"the call belongs to {root.name}"
        print(f"traces: {len(seen)} spans, {len(names)} names, the model's call beneath its run")

        server = subprocess.Popen(
            [*base, "serve", "--addr", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--model", "composer", "--json"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        try:
            text = ""
            while not text.rstrip().endswith("}"):
                line = server.stdout.readline()
                assert line, "the server did not start"
                text += line
            said = json.loads(text)
            health = said["mcp"].removesuffix("/mcp") + "/healthz"
            urllib.request.urlopen(health, timeout=10).read()
            exposition = urllib.request.urlopen(said["metrics"], timeout=30).read().decode()
        finally:
            server.terminate()
            server.wait(30)
    families = {family.name: family for family in text_string_to_metric_families(exposition)}
    for name in ("handaxe_http_requests", "handaxe_approvals_waiting", "handaxe_tools", "handaxe_pool_ready"):
        assert name in families and families[name].documentation, f"{name}: {sorted(families)}"
    health = [s for s in families["handaxe_http_requests"].samples if s.labels == {"door": "health", "status": "200"}]
    assert health and health[0].value == 1, families["handaxe_http_requests"].samples
    print(f"figures: {len(families)} families, read by prometheus_client")

    known = set(re.findall(r'"(handaxe_[a-z_]+)"', (ROOT / "crates/handaxe-types/src/measures.rs").read_text()))
    board = json.loads((ROOT / "packaging/grafana/handaxe.json").read_text())
    asked = set()
    for panel in board["panels"]:
        for target in panel["targets"]:
            asked |= {re.sub(r"_bucket$", "", n) for n in re.findall(r"handaxe_[a-z_]+", target["expr"])}
    assert asked <= known, f"the dashboard asks for {asked - known}"
    assert known <= asked, f"the dashboard lacks {known - asked}"
    page = (ROOT / "docs/observability.md").read_text()
    assert all(name in page for name in known), [n for n in known if n not in page]
    print(f"dashboard: {len(board['panels'])} panels over {len(known)} figures")


main()
