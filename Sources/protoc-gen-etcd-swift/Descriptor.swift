import Bytes
import Protobuf

// The parts of google/protobuf/descriptor.proto that the generator reads.

/// `google.protobuf.FileDescriptorProto`.
struct FileDescriptor: WireDecodable {
  var name = ""
  var package = ""
  var messages: [MessageDescriptorProto] = []
  var enums: [EnumDescriptor] = []
  var services: [ServiceDescriptorProto] = []
  var sourceInfo = SourceInfo()
  var syntax = ""

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: package = try reader.string()
    case 4: try reader.message(appendingTo: &messages)
    case 5: try reader.message(appendingTo: &enums)
    case 6: try reader.message(appendingTo: &services)
    case 9: try reader.message(into: &sourceInfo)
    case 12: syntax = try reader.string()
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.DescriptorProto`.
struct MessageDescriptorProto: WireDecodable {
  var name = ""
  var fields: [FieldDescriptor] = []
  var messages: [MessageDescriptorProto] = []
  var enums: [EnumDescriptor] = []
  var oneofs: [NamedDescriptor] = []

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: try reader.message(appendingTo: &fields)
    case 3: try reader.message(appendingTo: &messages)
    case 4: try reader.message(appendingTo: &enums)
    case 8: try reader.message(appendingTo: &oneofs)
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.FieldDescriptorProto`.
struct FieldDescriptor: WireDecodable {
  var name = ""
  var number: UInt32 = 0
  /// 1 optional, 2 required, 3 repeated.
  var label: Int32 = 1
  /// `google.protobuf.FieldDescriptorProto.Type`.
  var type: Int32 = 0
  var typeName = ""
  var oneofIndex: Int32?
  var jsonName = ""
  var options = FieldOptions()
  /// Whether the oneof is only there to give a proto3 scalar presence.
  var proto3Optional = false

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 3: self.number = try reader.varint()
    case 4: label = try reader.varint()
    case 5: type = try reader.varint()
    case 6: typeName = try reader.string()
    case 8: try reader.message(into: &options)
    case 9: oneofIndex = try reader.varint() as Int32
    case 10: jsonName = try reader.string()
    case 17: proto3Optional = try reader.varint()
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.FieldOptions`.
struct FieldOptions: WireDecodable {
  var packed: Bool?

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 2: packed = try reader.varint() as Bool
    default: try reader.skip()
    }
  }
}

/// A descriptor of which only the name counts: `OneofDescriptorProto`.
struct NamedDescriptor: WireDecodable {
  var name = ""

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.EnumDescriptorProto`.
struct EnumDescriptor: WireDecodable {
  var name = ""
  var values: [EnumValueDescriptor] = []

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: try reader.message(appendingTo: &values)
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.EnumValueDescriptorProto`.
struct EnumValueDescriptor: WireDecodable {
  var name = ""
  var number: Int32 = 0

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: self.number = try reader.varint()
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.ServiceDescriptorProto`.
struct ServiceDescriptorProto: WireDecodable {
  var name = ""
  var methods: [MethodDescriptorProto] = []

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: try reader.message(appendingTo: &methods)
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.MethodDescriptorProto`.
struct MethodDescriptorProto: WireDecodable {
  var name = ""
  var inputType = ""
  var outputType = ""
  var clientStreaming = false
  var serverStreaming = false

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: name = try reader.string()
    case 2: inputType = try reader.string()
    case 3: outputType = try reader.string()
    case 5: clientStreaming = try reader.varint()
    case 6: serverStreaming = try reader.varint()
    default: try reader.skip()
    }
  }
}

/// `google.protobuf.SourceCodeInfo`: the comments.
struct SourceInfo: WireDecodable {
  /// `google.protobuf.SourceCodeInfo.Location`.
  struct Location: WireDecodable {
    var path: [Int32] = []
    var leadingComments = ""

    mutating func merge(
      field number: UInt32, from reader: inout WireReader
    ) throws(ProtobufError) {
      switch number {
      case 1: try reader.varints(into: &path)
      case 3: leadingComments = try reader.string()
      default: try reader.skip()
      }
    }
  }

  var locations: [Location] = []

  mutating func merge(
    field number: UInt32, from reader: inout WireReader
  ) throws(ProtobufError) {
    switch number {
    case 1: try reader.message(appendingTo: &locations)
    default: try reader.skip()
    }
  }
}
