import EventLoops
import JSON

/// What the status page's server has of the cluster. Confined to its loop.
struct PageSource {
  let loop: EventLoop
  let api: MemberAPI
  let directory: RunDirectory
  /// The status as it is known, without a question to anybody.
  let status: () -> JSONObject
  /// Members that run, the leader first.
  let members: () -> [MemberPlan]
  /// All members.
  let all: () -> [MemberPlan]
  /// The lines that point etcdctl at the cluster.
  let export: () -> String
  /// Does what the control socket does.
  let ask: (ControlRequest, @escaping (JSONObject) -> Void) -> Void
  /// Starts `devcluster scenario` for the page.
  let scenarios: ScenarioRunner
}
