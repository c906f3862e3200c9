/// Why bytes are not a message in the protobuf wire format.
public enum ProtobufError: Error, Hashable, Sendable {
  /// The input ends inside a field, or a length reaches past the end of its message.
  case truncated
  /// A varint of more than 10 bytes or more than 64 bits.
  case malformedVarint
  /// A key with field number 0, a number above 2^29-1 or one of the unassigned wire types 6 and 7.
  case invalidKey
  /// The field has another wire type than its declaration.
  case wrongWireType(field: UInt32)
  /// A proto3 string field is not well-formed UTF-8.
  case invalidUTF8(field: UInt32)
  /// Messages or groups are nested deeper than `WireReader.depthLimit`.
  case tooDeep
  /// An end-group key without its start.
  case unmatchedGroup
}

extension ProtobufError: CustomStringConvertible {
  /// The error as one line of a log.
  public var description: String {
    switch self {
    case .truncated: "proto: unexpected end of input"
    case .malformedVarint: "proto: malformed varint"
    case .invalidKey: "proto: invalid field key"
    case .wrongWireType(let field): "proto: wrong wire type for field \(field)"
    case .invalidUTF8(let field): "proto: field \(field) contains invalid UTF-8"
    case .tooDeep: "proto: message nested too deep"
    case .unmatchedGroup: "proto: unexpected end of group"
    }
  }
}
