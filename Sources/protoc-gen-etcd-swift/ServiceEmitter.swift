/// Writes the descriptors of one service.
struct ServiceEmitter {
  private struct Method {
    var proto: MethodDescriptorProto
    var name: String
    var request: String
    var response: String
    var path: [Int32]
  }

  private let name: String
  private let fullName: String
  private let methods: [Method]
  private let comments: Comments
  private let path: [Int32]

  init(
    _ service: ServiceDescriptorProto, in package: String, file: FileContext, path: [Int32]
  ) throws(GeneratorError) {
    self.path = path
    name = Naming.type(service.name) + "Service"
    fullName = package + "." + service.name
    comments = file.comments
    var methods: [Method] = []
    for (index, method) in service.methods.enumerated() {
      methods.append(
        Method(
          proto: method, name: Naming.escaped(Naming.method(method.name)),
          request: try file.schema.swiftName(method.inputType),
          response: try file.schema.swiftName(method.outputType),
          path: path + [2, Int32(index)]))
    }
    self.methods = methods
  }

  func emit(into source: inout SourceText) {
    source.doc(comments[path], "Service `\(fullName)`.")
    source.block("public enum \(name)") { source in
      source.line("/// Full name of the service.")
      source.line("public static let name = \"\(fullName)\"")
      for method in methods { emit(method, into: &source) }
      source.line()
      source.line("/// Every method in the order of the .proto file.")
      let list = methods.map(\.name).joined(separator: ", ")
      source.line("public static let methods: [MethodDescriptor] = [\(list)]")
    }
  }

  private func emit(_ method: Method, into source: inout SourceText) {
    source.line()
    source.doc(comments[method.path], "`/\(fullName)/\(method.proto.name)`.")
    source.line("public static let \(method.name) = MethodDescriptor(")
    source.line("  service: name, name: \"\(method.proto.name)\",")
    source.line(
      "  clientStreaming: \(method.proto.clientStreaming),"
        + " serverStreaming: \(method.proto.serverStreaming),")
    source.line("  requestType: \(method.request).self,")
    source.line("  responseType: \(method.response).self)")
  }
}
