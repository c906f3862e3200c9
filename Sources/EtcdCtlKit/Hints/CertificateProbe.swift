import EtcdClient
import EventLoops
import HTTP
import TLS

/// Looks at the certificate that a port shows, whoever signed it. What it needs to know is thrown away with the
/// connection: nothing is sent over it.
enum CertificateProbe {
  /// - Parameters:
  ///   - tls: what a client shows; verification is left out.
  ///   - loop: runs already.
  /// - Returns: what the server showed, or why there is no TLS.
  static func look(
    at endpoint: String, _ tls: EtcdClientConfiguration.TLS?, loop: EventLoop, within time: Duration
  ) async -> Result<CertificateFacts, TLSFailure> {
    guard let origin = Endpoint.target(endpoint) else {
      return .failure(TLSFailure("no address: \(endpoint)"))
    }
    var settings = TLSSettings()
    settings.certificateFile = tls?.certificateFile ?? ""
    settings.keyFile = tls?.keyFile ?? ""
    settings.insecureSkipVerify = true
    let layer: TLSLayer
    do throws(TLSFailure) {
      layer = TLSLayer(try TLSMaterial(settings, protocols: ["h2"]))
    } catch { return .failure(error) }
    return await withUnsafeContinuation { done in
      loop.execute {
        Connection.connect(
          to: origin.endpoint, loop: loop, policy: .layered(layer), timeout: time
        ) { result in
          switch result {
          case .failure(let error): done.resume(returning: .failure(TLSFailure("\(error)")))
          case .success(let channel):
            let shown = (channel as? TLSChannel)?.peer
            channel.abort()
            done.resume(
              returning: shown.map { .success($0) } ?? .failure(TLSFailure("no certificate")))
          }
        }
      }
    }
  }
}
