import Bytes
import CommandLineTool
import EtcdAPI
import EtcdUtlKit
import Protobuf

extension EtcdCtl {
  // MARK: alarm

  static func alarmCommand(_ world: World) -> Command {
    var alarm = Command("alarm <subcommand>", short: "Alarm related commands")
    alarm.commands = [
      command("disarm", "Disarms all alarms") { (invocation) throws(CommandFailure) in
        guard invocation.arguments.isEmpty else {
          throw misuse("alarm disarm command accepts no arguments")
        }
        try disarm(invocation, world)
      },
      command("list", "Lists all alarms") { (invocation) throws(CommandFailure) in
        guard invocation.arguments.isEmpty else {
          throw misuse("alarm list command accepts no arguments")
        }
        let context = try Context(invocation, world)
        let answer = try alarms(context, .init(action: .get))
        try show(answer.message, answer.raw, context)
      },
    ]
    return alarm
  }

  private static func alarms(
    _ context: Context, _ request: Etcdserverpb.AlarmRequest
  ) throws(CommandFailure) -> Session.Answer<Etcdserverpb.AlarmResponse> {
    try context.request(
      Etcdserverpb.MaintenanceService.alarm, request, Etcdserverpb.AlarmResponse.self)
  }

  /// Takes back every alarm, one by one.
  private static func disarm(
    _ invocation: Invocation, _ world: World
  ) throws(CommandFailure) {
    let context = try Context(invocation, world)
    var all = Etcdserverpb.AlarmResponse()
    for alarm in try alarms(context, .init(action: .get)).message.alarms {
      let answer = try alarms(
        context,
        .init(action: .deactivate, memberID: alarm.memberID, alarm: alarm.alarm))
      all.alarms += answer.message.alarms
    }
    try show(all, all.encoded(), context)
  }

  private static func show(
    _ reply: Etcdserverpb.AlarmResponse, _ raw: Bytes, _ context: Context
  ) throws(CommandFailure) {
    try context.printer.show(
      Views(
        simple: { out in
          for alarm in reply.alarms { out.append(alarm.text + "\n") }
        },
        json: { reply.goJSON },
        fields: { text in
          text.header(reply.header)
          for alarm in reply.alarms {
            text.plain("MemberID", alarm.memberID)
            text.plain("AlarmType", alarm.alarmName)
            text.line()
          }
        }, raw: raw))
  }

  // MARK: move-leader

  static func moveLeaderCommand(_ world: World) -> Command {
    command(
      "move-leader <transferee-member-id>", "Transfers leadership to another etcd cluster member."
    ) { (invocation) throws(CommandFailure) in
      guard invocation.arguments.count == 1 else {
        throw misuse("move-leader command needs 1 argument")
      }
      let target = try Numbers.hexID(invocation.arguments[0])
      let context = try Context(invocation, world)
      for endpoint in context.settings.endpoints {
        let moved: (UInt64, Session.Answer<Etcdserverpb.MoveLeaderResponse>)?
        do throws(ClientFailure) { moved = try move(to: target, at: endpoint, context) } catch {
          throw CommandFailure(error.message)
        }
        if let (leader, answer) = moved {
          return try showMove(answer, from: leader, to: target, context)
        }
      }
      let list = context.settings.endpoints.joined(separator: " ")
      throw misuse("no leader endpoint given at [\(list)]")
    }
  }

  /// Asks a member to hand its leadership over.
  /// - Returns: who led; `nil` when the member does not lead.
  private static func move(
    to target: UInt64, at endpoint: String, _ context: Context
  ) throws(ClientFailure) -> (
    leader: UInt64, answer: Session.Answer<Etcdserverpb.MoveLeaderResponse>
  )? {
    let session = try context.session(to: endpoint)
    defer { session.close() }
    let status = try context.call(
      Etcdserverpb.MaintenanceService.status, Etcdserverpb.StatusRequest(),
      Etcdserverpb.StatusResponse.self, on: session)
    let leader = status.message.leader
    guard status.message.header?.memberID == leader else { return nil }
    let answer = try context.call(
      Etcdserverpb.MaintenanceService.moveLeader,
      Etcdserverpb.MoveLeaderRequest(targetID: target), Etcdserverpb.MoveLeaderResponse.self,
      on: session)
    return (leader, answer)
  }

  private static func showMove(
    _ answer: Session.Answer<Etcdserverpb.MoveLeaderResponse>, from leader: UInt64,
    to target: UInt64, _ context: Context
  ) throws(CommandFailure) {
    func hex(_ id: UInt64) -> String { String(id, radix: 16) }
    try context.printer.show(
      Views(
        simple: { $0.append("Leadership transferred from \(hex(leader)) to \(hex(target))\n") },
        json: { GoObject(header: answer.message.header).json }, raw: answer.raw))
  }

  // MARK: files

  static func defragmentFiles(
    _ directory: String, _ world: World, _ console: Console
  ) throws(CommandFailure) {
    try EtcdUtl.defragment(world.files, dataDirectory: directory, console)
  }
}
