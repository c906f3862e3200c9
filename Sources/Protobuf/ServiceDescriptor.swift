/// One method of a gRPC service.
public struct MethodDescriptor: Sendable {
  /// HTTP/2 path, as in `/etcdserverpb.KV/Range`.
  public let path: String
  /// Name without the service, as in `Range`.
  public let name: String
  /// Full name of the service, as in `etcdserverpb.KV`.
  public let service: String
  /// Whether the client sends any number of requests rather than one.
  public let clientStreaming: Bool
  /// Whether the server sends any number of responses rather than one.
  public let serverStreaming: Bool
  /// Message that a client sends.
  public let requestType: any ProtobufMessage.Type
  /// Message that the server sends.
  public let responseType: any ProtobufMessage.Type

  /// A method; its path follows from the names.
  public init(
    service: String, name: String, clientStreaming: Bool, serverStreaming: Bool,
    requestType: any ProtobufMessage.Type, responseType: any ProtobufMessage.Type
  ) {
    self.path = "/" + service + "/" + name
    self.name = name
    self.service = service
    self.clientStreaming = clientStreaming
    self.serverStreaming = serverStreaming
    self.requestType = requestType
    self.responseType = responseType
  }
}
