import Bytes
import Testing

@testable import GRPCProxy

@Suite struct ProxyMembersTests {
  @Test func valuesAreThoseOfGo() {
    let entry = ProxyMembers.Entry(address: "127.0.0.1:23790", name: "host")
    let value = ProxyMembers.value(entry)
    #expect(
      value.string == #"{"Op":0,"Addr":"127.0.0.1:23790","Metadata":"{\"name\":\"host\"}"}"#)
    #expect(ProxyMembers.entry(value) == entry)
  }

  @Test(arguments: ["", "{", "[]", "{}", "{\"Addr\":1}", "7"])
  func valuesOfOthersAreNone(_ text: String) { #expect(ProxyMembers.entry(Bytes(text)) == nil) }
}
