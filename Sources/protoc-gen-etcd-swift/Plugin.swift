import Bytes
import Protobuf

/// `google.protobuf.compiler.CodeGeneratorRequest`.
struct PluginRequest: WireDecodable {
  var filesToGenerate: [String] = []
  var files: [FileDescriptor] = []

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: filesToGenerate.append(try reader.string())
    case 15: try reader.message(appendingTo: &files)
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.compiler.CodeGeneratorResponse`.
struct PluginResponse {
  /// One generated source file.
  struct File {
    var name: String
    var content: String
  }

  /// A message for the user of protoc when the input cannot be generated.
  var error: String?
  var files: [File] = []

  func encoded() -> Bytes {
    var writer = ByteWriter(capacity: 1 << 16)
    if let error { PluginResponse.append(1, Bytes(error), to: &writer) }
    writer.appendVarint(2 << 3)  // supported_features
    writer.appendVarint(1)  // FEATURE_PROTO3_OPTIONAL
    for file in files {
      var body = ByteWriter(capacity: file.content.utf8.count + 256)
      PluginResponse.append(1, Bytes(file.name), to: &body)
      PluginResponse.append(15, Bytes(file.content), to: &body)
      PluginResponse.append(15, body.finish(), to: &writer)
    }
    return writer.finish()
  }

  private static func append(_ field: UInt64, _ bytes: Bytes, to writer: inout ByteWriter) {
    writer.appendVarint(field << 3 | 2)
    writer.appendVarint(UInt64(bytes.count))
    writer.append(bytes)
  }
}
