extension EtcdCtl {
  /// The commands of the v2 API, in the order of the help text.
  static let v2Commands: [V2Command] =
    [v2BackupCommand, v2HealthCommand] + v2KeyCommands + v2WatchCommands
    + [v2MemberCommand, v2UserCommand, v2RoleCommand, v2AuthCommand]
}
