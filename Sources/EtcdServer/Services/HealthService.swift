import Bytes
import Calls
import EtcdAPI
import Protobuf

/// grpc.health.v1.Health: the server as a whole (service "") is serving while it runs, unless
/// `ServingStatus` says otherwise.
///
/// - Source: gRPC health checking protocol; etcd registers no other service name.
struct HealthService: Sendable {
  let member: RunningMember

  func register(in router: inout CallRouter) {
    typealias Health = GrpcHealthV1.HealthService
    router.unary(Health.check.path, counters: member.counters(Health.check)) { call, bytes in
      guard let request = call.decode(GrpcHealthV1.HealthCheckRequest.self, bytes) else { return }
      guard request.service.isEmpty else {
        return call.fail(GRPCStatus(.notFound, "unknown service"))
      }
      let isServing = member.shared.serving.isServing
      call.respond(
        GrpcHealthV1.HealthCheckResponse(status: isServing ? .serving : .notServing))
    }
    router.streaming(Health.watch.path, counters: member.counters(Health.watch)) { stream in
      for try await bytes in stream.requests {
        let request = try GrpcHealthV1.HealthCheckRequest.decode(bytes)
        guard request.service.isEmpty else {
          let response = GrpcHealthV1.HealthCheckResponse(status: .serviceUnknown)
          try await stream.send(response.encoded())
          break
        }
        for await isServing in member.shared.serving.watch() {
          let response = GrpcHealthV1.HealthCheckResponse(
            status: isServing ? .serving : .notServing)
          try await stream.send(response.encoded())
        }
      }
      // The client asked once and listens: the watch lasts until it is cancelled or the server ends.
      while true { try await Task.sleep(for: .seconds(3600)) }
    }
  }
}
