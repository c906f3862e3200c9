import EtcdAPI
import Testing

/// Errors that clients recognise by their text.
@Suite struct ErrorTests {
  @Test func theKnownErrorsAreGos() {
    #expect(EtcdError.known.count == 55)
    #expect(Set(EtcdError.known.map(\.message)).count == EtcdError.known.count)
    #expect(EtcdError.known.allSatisfy { $0.message.hasPrefix("etcdserver: ") })
  }
}
