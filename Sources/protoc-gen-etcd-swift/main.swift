// A protoc plugin: reads a CodeGeneratorRequest from standard input and writes a
// CodeGeneratorResponse with one Swift file per .proto file to standard output.
import Bytes
import Platform
import Protobuf

/// Everything on standard input; ends the process when it cannot be read.
func readInput() -> Bytes {
  var writer = ByteWriter(capacity: 1 << 20)
  let limit = 256 << 20
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while writer.count <= limit {
    let count = Descriptor.read(0, into: &chunk)
    if count == 0 { return writer.finish() }
    guard count > 0 else { fail("cannot read the request") }
    chunk.withUnsafeBytes { writer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }
  fail("request too large")
}

func fail(_ message: String) -> Never {
  StandardStreams.write("protoc-gen-etcd-swift: \(message)\n", to: StandardStreams.error)
  Program.exit(1)
}

func generate(_ request: PluginRequest) -> PluginResponse {
  let schema = Schema(request.files)
  let wanted = Set(request.filesToGenerate)
  let files = request.files.filter { wanted.contains($0.name) }
  var response = PluginResponse()
  response.files.append(FileEmitter.namespaces(files))
  for file in files {
    do throws(GeneratorError) {
      response.files.append(try FileEmitter(file, schema: schema).generate())
    } catch {
      return PluginResponse(error: "\(file.name): \(error.message)")
    }
  }
  return response
}

do throws(ProtobufError) {
  let response = generate(try PluginRequest.decode(readInput())).encoded()
  guard Descriptor.write(response, to: StandardStreams.output) else {
    fail("cannot write the response")
  }
} catch {
  fail("malformed request: \(error)")
}
