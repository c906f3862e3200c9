/// Why a proxy does not start; for standard error, in etcd's words where etcd has any. The exit status is 1.
package struct GRPCProxyRefusal: Error, Equatable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}
