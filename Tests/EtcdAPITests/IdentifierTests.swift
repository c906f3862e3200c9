import EtcdAPI
import Testing

@Suite struct IdentifierTests {
  @Test func memberIDsAreReadAndWrittenInHexadecimal() {
    #expect(MemberID(0x8e9e_05c5_2164_694d).hex == "8e9e05c52164694d")
    #expect(MemberID(10).hex == "a")
    #expect(MemberID(hex: "8E9e05c52164694d") == 0x8e9e_05c5_2164_694d)
    #expect(MemberID(hex: "00000000000000000001") == 1)
    #expect(MemberID(hex: "ffffffffffffffff")?.rawValue == .max)
    for text in ["", "g", "+1", "-1", "0x1", "1_0", " 1", "10000000000000000"] {
      #expect(MemberID(hex: text) == nil, "\(text)")
    }
  }

  /// Texts, lists of them included, are those of the numbers.
  @Test func textsAreThoseOfTheNumbers() {
    #expect("\(LeaseID(-7)) \([LeaseID(3), 4])" == "-7 [3, 4]")
    #expect("\(MemberID(10)) \(Optional(MemberID(10)) as Any)" == "10 Optional(10)")
  }
}
