import Bytes
import EtcdAPI
import Protobuf
import Testing

@Suite struct RoundTripTests {
  @Test func everyTypeIsListed() {
    #expect(Set(allMessages.map { $0.fullName }).count == allMessages.count)
    #expect(allMessages.count > 120)
  }

  @Test func randomMessages() throws {
    var random = Random.printed("randomMessages")
    var kinds = 0
    for type in allMessages { kinds += try roundTrips(type, &random) }
    // Only a dozen types have no field at all.
    #expect(kinds > allMessages.count - 20)
  }

  /// Checks 40 messages; returns 1 when some of them were not empty.
  private func roundTrips<M: ProtobufMessage>(
    _ type: M.Type, _ random: inout Random
  ) throws -> Int {
    let maker = MessageMaker(type)
    var filled = false
    for _ in 0..<40 {
      let message = maker.make(&random)
      filled = filled || message != M()
      let bytes = message.encoded()
      #expect(bytes.count == message.encodedSize)
      let again = try M.decode(bytes)
      #expect(again == message, "\(M.fullName)")
      #expect(again.hashValue == message.hashValue)
      for int64AsNumber in [false, true] {
        let options = JSONOptions(
          int64AsNumber: int64AsNumber, enumAsNumber: int64AsNumber, rejectUnknown: true)
        let json = message.json(options: options)
        #expect(try M(json: json, options: options) == message, "\(M.fullName) \(json)")
      }
    }
    #expect(filled == maker.hasFields, "\(M.fullName)")
    return filled ? 1 : 0
  }

  @Test func encodesIntoTheMiddleOfAWriter() throws {
    var writer = ByteWriter(capacity: 16)
    writer.append("head")
    let put = Etcdserverpb.PutRequest(key: "k", value: Bytes(repeatElement(7, count: 500)))
    put.encode(into: &writer)
    writer.append("tail")
    let bytes = writer.finish()
    #expect(bytes.count == 8 + put.encodedSize)
    #expect(try Etcdserverpb.PutRequest.decode(bytes[4..<(bytes.count - 4)]) == put)
    #expect(bytes.hasPrefix("head") && bytes[(bytes.count - 4)...] == Bytes("tail"))
  }

  @Test func bytesAreSlicesOfTheInput() throws {
    let bytes = Etcdserverpb.PutRequest(key: "key", value: "value").encoded()
    let decoded = try Etcdserverpb.PutRequest.decode(bytes)
    bytes.withUnsafeBytes { whole in
      decoded.value.withUnsafeBytes { value in
        #expect(value.baseAddress! == whole.baseAddress! + 7)
      }
    }
  }
}
