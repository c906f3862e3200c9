import Bytes
import JSON

/// A value that is filled field by field from the wire format.
public protocol WireDecodable: Sendable {
  /// The message with no field set.
  init()

  /// Takes over the value of one field; `reader` stands behind the field's key.
  ///
  /// Singular scalars take the last value seen, singular messages merge, repeated fields append.
  /// A number that is not declared must be passed to `WireReader.skip()`.
  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError)
}

extension WireDecodable {
  /// Reads a whole message. `Bytes` fields are slices of `bytes` and keep its storage alive.
  /// - Throws: `ProtobufError` for any malformed input; unknown fields are skipped.
  @inlinable
  public static func decode(_ bytes: Bytes) throws(ProtobufError) -> Self {
    try bytes.withUnsafeBytes { (memory) throws(ProtobufError) -> Self in
      var reader = WireReader(bytes, memory)
      var message = Self()
      try reader.merge(into: &message)
      return message
    }
  }
}

/// A generated message: wire format, canonical JSON and value semantics.
public protocol ProtobufMessage: WireDecodable, Hashable, JSONField {
  /// Package and name, as in `etcdserverpb.RangeRequest`.
  static var fullName: String { get }

  /// Bytes that `encode(into:)` will append.
  var encodedSize: Int { get }

  /// Writes the fields back to front, highest field number first.
  func write(to writer: inout WireWriter)

  /// Writes the members of the JSON object that stands for the message.
  func writeJSON(to json: inout MessageJSONWriter)

  /// Takes over one member of a JSON object; a name that is not declared is ignored.
  mutating func merge(
    jsonField name: String, _ value: JSONValue, options: JSONOptions
  ) throws(JSONError)
}

extension ProtobufMessage {
  /// Appends the message: fields ascending by number, as the Go implementations write them.
  @inlinable
  public func encode(into writer: inout ByteWriter) {
    let size = encodedSize
    writer.append(uninitialized: size) { memory in
      var fields = WireWriter(memory)
      write(to: &fields)
      fields.finish()
    }
  }

  /// The message in storage of its own. One allocation.
  @inlinable
  public func encoded() -> Bytes {
    var writer = ByteWriter(capacity: encodedSize)
    encode(into: &writer)
    return writer.finish()
  }
}
