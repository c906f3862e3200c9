import Testing

@testable import EtcdServer

@Suite struct ExpiryNoticeTests {
  @Test func warningsComeOnceEachAndAnewForAnotherCertificate() {
    var notice = ExpiryNotice()
    let day: Int64 = 86_400
    let told = [40, 31, 30, 29, 8, 7, 6, 2, 1, 0, 0, -1].map { notice.due("a", left: $0 * day) }
    #expect(told == [nil, nil, 30, nil, nil, 7, nil, nil, 1, 0, nil, nil])
    #expect(notice.due("b", left: 400 * day) == nil)
    // Several at once are one.
    #expect(notice.due("b", left: 3_600) == 1)
    #expect(notice.due("c", left: -5) == 0)
  }
}
