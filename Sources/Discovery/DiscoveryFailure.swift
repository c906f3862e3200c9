/// Why a cluster was not found, in etcd's words.
///
/// - Source: etcd `api/v2discovery/discovery.go`.
package enum DiscoveryFailure: Error, Equatable, CustomStringConvertible {
  case invalidURL
  case badSize
  case sizeNotFound
  case duplicateID
  case duplicateName
  case full
  case badEndpoint
  /// What the service, or a client of it, said.
  case other(String)

  package var description: String {
    switch self {
    case .invalidURL: "discovery: invalid URL"
    case .badSize: "discovery: size key is bad"
    case .sizeNotFound: "discovery: size key not found"
    case .duplicateID: "discovery: found duplicate id"
    case .duplicateName: "discovery: found duplicate name"
    case .full: "discovery: cluster is full"
    case .badEndpoint: "discovery: bad discovery endpoint"
    case .other(let words): words
    }
  }
}
