import Bytes
import EtcdAPI
import JSON
import Protobuf

extension Raftpb.ConfState {
  /// The row `confState` of bucket `meta`.
  /// - Source: etcd `schema/confstate.go`: JSON with Go's names.
  public var stored: Bytes {
    func list(_ ids: [UInt64]) -> JSONValue { .array(ids.map { .integer($0) }) }
    var object = JSONObject()
    if !voters.isEmpty { object.members.append(.init("voters", list(voters))) }
    if !learners.isEmpty { object.members.append(.init("learners", list(learners))) }
    if !votersOutgoing.isEmpty {
      object.members.append(.init("voters_outgoing", list(votersOutgoing)))
    }
    if !learnersNext.isEmpty { object.members.append(.init("learners_next", list(learnersNext))) }
    object.members.append(.init("auto_leave", .bool(autoLeave)))
    return JSONValue.object(object).encoded()
  }
}
