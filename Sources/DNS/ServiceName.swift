/// What etcd's services are called in the DNS.
///
/// - Source: etcd `client/pkg/srv/srv.go`, `GetSRVService`.
package struct ServiceName: Equatable, Sendable {
  /// The first label without its underscore, as `etcd-server-ssl`.
  package let label: String
  package let scheme: String

  /// - Parameters:
  ///   - service: `etcd-server` or `etcd-client`.
  ///   - suffix: of `--discovery-srv-name`; may be empty.
  package init(_ service: String, suffix: String, isSecure: Bool) {
    label = service + (isSecure ? "-ssl" : "") + (suffix.isEmpty ? "" : "-\(suffix)")
    scheme = isSecure ? "https" : "http"
  }

  /// The name to ask for in a domain.
  package func name(in domain: String) -> String { "_\(label)._tcp.\(domain)" }
}

/// Asks for the SRV records of a name, in the order in which they are to be tried; waits for the answer.
package typealias ServiceLookup = @Sendable (String) throws(DNSFailure) -> [ServiceRecord]

/// Where clients find the members of a domain.
package struct ClientEndpoints: Equatable, Sendable {
  package struct Endpoint: Equatable, Sendable {
    package let url: String
    package let record: ServiceRecord
  }

  /// Those with TLS first.
  package var endpoints: [Endpoint]

  package var urls: [String] { endpoints.map(\.url) }

  /// - Throws: why neither those with TLS nor those without are known, in Go's words.
  /// - Source: etcd `client/pkg/srv/srv.go`, `GetClient`.
  package init(
    domain: String, suffix: String, lookup: ServiceLookup
  ) throws(ClientLookupFailure) {
    endpoints = []
    var failures: [DNSFailure] = []
    for isSecure in [true, false] {
      let service = ServiceName("etcd-client", suffix: suffix, isSecure: isSecure)
      do throws(DNSFailure) {
        endpoints += try lookup(service.name(in: domain)).map { record in
          Endpoint(url: record.url(service.scheme), record: record)
        }
      } catch {
        failures.append(error)
      }
    }
    guard failures.count < 2 else { throw ClientLookupFailure(failures: failures) }
  }
}

/// Neither of the two names of a domain has records.
package struct ClientLookupFailure: Error, CustomStringConvertible {
  package let failures: [DNSFailure]

  package var description: String {
    "dns lookup errors: " + failures.map(\.description).joined(separator: " and ")
  }
}

extension ServiceRecord {
  package func url(_ scheme: String) -> String { "\(scheme)://\(target):\(port)" }
}
