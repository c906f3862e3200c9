// A protoc plugin: reads a CodeGeneratorRequest from standard input and writes a
// CodeGeneratorResponse with one Swift file per .proto file to standard output.
import Bytes
import Glibc
import Protobuf

/// Everything on standard input; ends the process when it cannot be read.
func readInput() -> Bytes {
  var writer = ByteWriter(capacity: 1 << 20)
  let limit = 256 << 20
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while writer.count <= limit {
    let count = chunk.withUnsafeMutableBytes { read(0, $0.baseAddress, $0.count) }
    if count == 0 { return writer.finish() }
    if count < 0 {
      guard errno == EINTR else { fail("cannot read the request") }
      continue
    }
    chunk.withUnsafeBytes { writer.append(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
  }
  fail("request too large")
}

func fail(_ message: String) -> Never {
  let line = Bytes("protoc-gen-etcd-swift: \(message)\n")
  _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
  exit(1)
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

func writeOutput(_ bytes: Bytes) {
  bytes.withUnsafeBytes { memory in
    var rest = memory[...]
    while !rest.isEmpty {
      let count = UnsafeRawBufferPointer(rebasing: rest).withMemoryRebound(to: UInt8.self) {
        write(1, $0.baseAddress, $0.count)
      }
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR {
        fail("cannot write the response")
      }
    }
  }
}

do throws(ProtobufError) {
  writeOutput(generate(try PluginRequest.decode(readInput())).encoded())
} catch {
  fail("malformed request: \(error)")
}
