import Bytes
import EtcdAPI
import GRPC
import Protobuf

/// grpc.health.v1.Health: the server as a whole (service "") is serving while it runs.
///
/// - Source: gRPC health checking protocol; etcd registers no other service name.
struct HealthService: Sendable {
  let member: RunningMember

  func register(in router: inout GRPCRouter) {
    typealias Health = GrpcHealthV1.HealthService
    router.unary(Health.check.path, counters: member.counters(Health.check)) { call, bytes in
      guard let request = call.decode(GrpcHealthV1.HealthCheckRequest.self, bytes) else { return }
      guard request.service.isEmpty else {
        return call.fail(GRPCStatus(.notFound, "unknown service"))
      }
      call.respond(GrpcHealthV1.HealthCheckResponse(status: .serving))
    }
    router.streaming(Health.watch.path, counters: member.counters(Health.watch)) { stream in
      for try await bytes in stream.requests {
        let request = try GrpcHealthV1.HealthCheckRequest.decode(bytes)
        let known = request.service.isEmpty
        let response = GrpcHealthV1.HealthCheckResponse(
          status: known ? .serving : .serviceUnknown)
        try await stream.send(response.encoded())
      }
      // The client asked once and listens: the watch lasts until it is cancelled or the server ends.
      while true { try await Task.sleep(for: .seconds(3600)) }
    }
  }
}
