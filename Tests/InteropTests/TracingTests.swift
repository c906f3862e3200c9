import Foundation
import TestSupport
import Testing

/// Spans of calls as a collector gets them, decoded by OpenTelemetry's own messages: from Go's server and from ours.
@Suite(.serialized) struct TracingTests {
  private static let python = PythonClientTests.tools + "/otlp/bin/python"

  /// A collector, and calls of a client that records its trace; prints what came.
  private static let script = #"""
    import sys, threading, time
    from concurrent import futures
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as stubs
    member, collector, wanted = sys.argv[1], sys.argv[2], int(sys.argv[3])
    spans, lock = [], threading.Condition()
    class Collector(stubs.TraceServiceServicer):
        def Export(self, request, context):
            with lock:
                for resource in request.resource_spans:
                    names = {a.key: a.value.string_value for a in resource.resource.attributes}
                    for scope in resource.scope_spans:
                        spans.extend((names.get("service.name"), names.get("service.instance.id"), s) for s in scope.spans)
                lock.notify_all()
            return service.ExportTraceServiceResponse()
    server = grpc.server(futures.ThreadPoolExecutor(4))
    stubs.add_TraceServiceServicer_to_server(Collector(), server)
    server.add_insecure_port("127.0.0.1:" + collector)
    server.start()
    channel = grpc.insecure_channel("127.0.0.1:" + member)
    trace = "0af7651916cd43dd8448eb211c80319c"
    def call(path, request, parent):
        metadata = [("traceparent", parent)] if parent else []
        try: channel.unary_unary(path)(request, metadata=metadata, timeout=20)
        except grpc.RpcError: pass
    sampled = "00-" + trace + "-b7ad6b7169203331-01"
    call("/etcdserverpb.KV/Put", b"\x0a\x01a\x12\x01b", sampled)
    call("/etcdserverpb.KV/Range", b"\x0a\x01a", sampled)
    call("/etcdserverpb.KV/Range", b"", sampled)
    call("/etcdserverpb.KV/Range", b"\x0a\x01a", None)
    call("/etcdserverpb.KV/Range", b"\x0a\x01a", sampled[:-1] + "0")
    call("/etcdserverpb.KV/Range", b"\x0a\x01a", "00-" + trace + "-zz")
    with lock:
        end = time.time() + 20
        while len(spans) < wanted and time.time() < end: lock.wait(1)
    for name, instance, s in sorted(spans, key=lambda x: x[2].start_time_unix_nano):
        attributes = sorted((a.key, a.value.string_value or a.value.int_value) for a in s.attributes if a.key != "net.peer.port")
        parent = s.parent_span_id.hex() or "root"
        own = "given" if s.trace_id.hex() == trace else "%d" % len(s.trace_id)
        assert len(s.span_id) == 8 and 0 < s.start_time_unix_nano <= s.end_time_unix_nano <= time.time_ns()
        messages = [sorted((a.key, a.value.string_value or a.value.int_value) for a in e.attributes if a.key != "message.uncompressed_size") for e in s.events if e.name == "message"]
        print(name, instance, own, parent, s.name, s.kind, s.status.code == 2, s.status.message, attributes, messages)
    """#

  private func spans(_ binary: String, _ flags: [String], count: Int) throws -> [String] {
    let collector = freePorts(1)[0]
    let cluster = Cluster(
      [binary],
      extra: [
        "--experimental-enable-distributed-tracing",
        "--experimental-distributed-tracing-address", "127.0.0.1:\(collector)",
        "--experimental-distributed-tracing-service-name", "store",
        "--experimental-distributed-tracing-instance-id", "one",
      ] + flags)
    try cluster.start()
    let path = cluster.scratch.path + "/collector.py"
    try Self.script.write(toFile: path, atomically: false, encoding: .utf8)
    let done = run(
      Self.python, [path, "\(cluster.members[0].clientPort)", "\(collector)", "\(count)"])
    #expect(done.status == 0, "\(done.error)")
    return done.output.split(separator: "\n").map(String.init)
  }

  private static let rate = "--experimental-distributed-tracing-sampling-rate"

  /// Go's 3.5.1 knows no rate and records every call that begins a trace.
  @Test(.enabled(if: Binaries.go35 != nil && Binaries.isThere(python)))
  func theCollectorGetsWhatItGetsFromGo() throws {
    let theirs = try spans(try #require(Binaries.go35), [], count: 5)
    let ours = try spans(Binaries.ours, [Self.rate, "1000000"], count: 5)
    #expect(ours == theirs)
    #expect(ours.count == 5)
    #expect(ours.filter { $0.contains(" root ") }.count == 2)
  }

  /// Calls that belong to no trace are recorded by the rate; those whose clients record them always are.
  @Test(.enabled(if: Binaries.isThere(python))) func withoutARateClientsDecide() throws {
    let some = try spans(Binaries.ours, [Self.rate, "0"], count: 3)
    #expect(some.count == 3)
    #expect(!some.contains { $0.contains(" root ") })
  }
}
