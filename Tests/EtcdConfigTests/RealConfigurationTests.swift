import EtcdConfig
import TestSupport
import Testing

@Suite struct RealConfigurationTests {
  @Test(arguments: RealConfiguration.all)
  func isRead(_ real: RealConfiguration) throws {
    let found = try accepted(
      real.arguments(client: 1, peer: 2, metrics: 3, directory: "/data"),
      real.environment(client: 1, peer: 2, metrics: 3, directory: "/data"))
    #expect(found.server.dataDirectory == "/data")
    #expect(found.server.listenClientURLs.map(\.description) == ["http://127.0.0.1:1"])
    #expect(found.server.initialCluster.values.map { $0 } == [["http://127.0.0.1:2"]])
    #expect(found.server.bootstrapProblem { _ in nil } == nil)
    #expect(!found.notices.contains { $0.message.contains("no effect") } || real.name != "kubeadm")
  }

  @Test func theirSettingsArrive() throws {
    func server(_ name: String) throws -> ServerConfig {
      let real = try #require(RealConfiguration.all.first { $0.name == name })
      return try accepted(
        real.arguments(client: 1, peer: 2, metrics: 3, directory: "/data"),
        real.environment(client: 1, peer: 2, metrics: 3, directory: "/data")
      ).server
    }
    let kubeadm = try server("kubeadm")
    #expect(kubeadm.initialCorruptCheck && kubeadm.snapshotCount == 10_000)
    #expect(kubeadm.watchProgressNotifyInterval == .seconds(5))
    #expect(kubeadm.listenMetricsURLs.map(\.description) == ["http://127.0.0.1:3"])
    let kubespray = try server("kubespray")
    #expect(kubespray.initialCorruptCheck && kubespray.electionTimeout == 5000)
    #expect(kubespray.autoCompaction == .periodic(.seconds(8 * 3600)))
    let openShift = try server("OpenShift")
    #expect(openShift.enablePprof && openShift.warningApplyDuration == .milliseconds(200))
    #expect(openShift.quota == 8 << 30)
    #expect(try server("Procfile").enablePprof)
    #expect(try server("compose").autoCompaction == .revision(1000))
  }
}
